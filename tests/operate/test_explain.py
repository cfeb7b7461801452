"""Explain: each step with its verdict, the answer that the client would get, and the headers that the app would."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from proxy.__main__ import main
from proxy.operate.demo.pki import SERVER, Authority, Credential, Leaf, Window
from proxy.operate.explain import explain_command
from tests.support.harness import ProxyProcess, RawOrigin, TlsClient, running
from tests.support.site import TLS, document, optional, public, required, write_config, write_server

MIXED, STRICT, OPEN = "mixed.origin.test", "strict.origin.test", "open.origin.test"
PARTNER = required("partners", "/partners/", san_uri=["spiffe://partner.example/*"], max_lifetime="90d")
HOSTS = [
    {
        "names": [MIXED], "certificate": TLS,
        "routes": [required("cdn", "/", san_dns=["edge.example"]), PARTNER, public("/public/"), optional("/maybe/")],
    },
    {"names": [STRICT], "certificate": TLS, "routes": [required("cdn", "/app/", san_dns=["edge.example"])]},
    {"names": [OPEN], "certificate": TLS, "routes": [public()]},
]  # fmt: skip
DECISIONS = {"handshake.refused", "request", "request.refused"}
_DAY = timedelta(days=1)
_LONG_AGO = Window.around_now(timedelta(days=30), -timedelta(days=1))
_NEXT_YEAR = Window.around_now(-timedelta(days=300), timedelta(days=400))


class Site:
    """A configuration, its app's port, and a chain file for each kind of client."""

    def __init__(self, folder: Path, origin_port: int) -> None:
        self.folder = folder
        self._addresses = itertools.count(2)
        cdn_root, partners = Authority.root("CDN CA"), Authority.root("Partner CA")
        cdn_root.write(folder / "cdn.pem")
        partners.write(folder / "partners.pem")
        write_server(folder / "tls")
        cdn = cdn_root.intermediate("CDN issuing CA")
        rogue = Authority.root("CDN CA")
        edge = {"subject": "edge", "dns": ("edge.example",)}
        self.clients: dict[str, Credential] = {
            "edge": cdn.issue(Leaf(**edge)),
            "expired": cdn.issue(Leaf(**edge, window=_LONG_AGO)),
            "early": cdn.issue(Leaf(**edge, window=_NEXT_YEAR)),
            "server": cdn.issue(Leaf(**edge, eku=SERVER)),
            "other": cdn.issue(Leaf(subject="other", dns=("other.example",))),
            "rogue": rogue.issue(Leaf(**edge)),
            "partner": partners.issue(
                Leaf(subject="app", uri=("spiffe://partner.example/app",), window=Window.around_now(_DAY, _DAY * 60))
            ),
        }
        for name, client in self.clients.items():
            client.write(folder / name)
        bundles = {name: {"anchors": [f"{name}.pem"]} for name in ("cdn", "partners")}
        self.config = write_config(folder, document(origin_port, HOSTS, trust=bundles, log={"requests": "all"}))


    def address(self) -> str:
        """Return a loopback address of its own for a client: its refusals are told apart, and from folded ones."""
        return f"127.0.7.{next(self._addresses)}"


@pytest.fixture(scope="module")
def origin() -> Iterator[RawOrigin]:
    """Run an app."""
    with RawOrigin() as app:
        yield app


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, origin: RawOrigin) -> Site:
    """Make the site once: nothing here changes it."""
    return Site(tmp_path_factory.mktemp("explain"), origin.port)


@pytest.fixture(scope="module")
def proxy(site: Site) -> Iterator[ProxyProcess]:
    """Run the site."""
    with running(site.config) as process:
        yield process


Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def ask(site: Site, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Return a function that asks on the command line; it returns the exit status and what was printed."""

    def explain(client: str | None, host: str, path: str, *more: str) -> tuple[int, str]:
        cert = ["--cert", str(site.folder / client / "chain.pem")] if client else []
        status = main(["explain", str(site.config), *cert, "--host", host, "--path", path, *more])
        return status, capsys.readouterr().out

    return explain


class Case(NamedTuple):
    """Who asks which host for what; the reason of the refusal, None for none; and how the answer starts."""

    client: str | None
    host: str
    path: str
    reason: str | None
    answer: str


CASES = [
    Case(*row) for row in (
        ("edge", MIXED, "/", None, "forwarded to app, at most until "),
        ("edge", MIXED, "/maybe/", None, "forwarded to app, at most until "),
        ("edge", STRICT, "/app/x", None, "forwarded to app, at most until "),
        ("partner", MIXED, "/partners/a?b=c", None, "forwarded to app, at most until "),
        (None, MIXED, "/public/", None, "forwarded to app"),
        (None, MIXED, "/maybe/", None, "forwarded to app"),
        ("rogue", OPEN, "/", None, "forwarded to app"),
        ("edge", MIXED, "/partners/", "untrusted-issuer", "HTTP status 403"),
        ("partner", MIXED, "/maybe/", "untrusted-issuer", "HTTP status 403"),
        (None, MIXED, "/", "no-certificate", "HTTP status 403"),
        (None, STRICT, "/app/", "no-certificate", "TLS alert certificate_required"),
        ("rogue", MIXED, "/", "untrusted-issuer", "TLS alert unknown_ca"),
        ("expired", MIXED, "/", "expired", "TLS alert certificate_expired"),
        ("early", MIXED, "/", "not-yet-valid", "TLS alert bad_certificate"),
        ("server", MIXED, "/", "wrong-purpose", "TLS alert unsupported_certificate"),
        ("other", STRICT, "/app/", "name-not-allowed", "TLS alert bad_certificate"),
        ("edge", "nobody.origin.test", "/", "unknown-host", "TLS alert unrecognized_name"),
        ("edge", STRICT, "/elsewhere", "no-route", "HTTP status 404"),
        ("edge", MIXED, "/public/../partners/", "ambiguous-path", "HTTP status 400"),
        ("partner", MIXED, "/public;x/", "ambiguous-path", "HTTP status 400"),
        (None, MIXED, "//partners/", "ambiguous-path", "HTTP status 400"),
        ("edge", MIXED, "/a b", "bad-request", "HTTP status 400"),
    )
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.client} {case.host}{case.path}")
def test_the_answer_is_the_one_that_the_client_would_get(case: Case, ask: Ask) -> None:
    """Exit 0 for admitted, 1 for refused; text and JSON say the same."""
    client, host, path, reason, answer = case
    status, text = ask(client, host, path)
    assert status == (0 if reason is None else 1)
    verdict = "ADMITTED" if reason is None else f"REFUSED ({reason})"
    assert f"\n{verdict}  {answer}" in text
    status_again, encoded = ask(client, host, path, "--json")
    found = msgspec.json.decode(encoded)
    assert status_again == status
    assert (found["admitted"], found["reason"]) == (reason is None, reason)
    assert found["answer"].startswith(answer)
    assert found["steps"][-1]["passed"] is (reason is None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.client} {case.host}{case.path}")
def test_a_running_proxy_says_the_same(case: Case, site: Site, proxy: ProxyProcess) -> None:
    """The question that was explained, asked over TLS: the same reason in the log, the same alert or status."""
    client, host, path, reason, answer = case
    source = site.address()
    got = _live(TlsClient(proxy.port, host, site.clients[client] if client else None, source=source), host, path)
    decided = proxy.wait_for(lambda line: line["event"] in DECISIONS and line["peer"].startswith(f"{source}:"))
    assert decided.get("reason") == reason
    assert got == (answer if reason else "HTTP status 200")


def _live(tls: TlsClient, host: str, path: str) -> str:
    """Ask, and return the answer as explain would write it."""
    with tls.handshake():
        if tls.error is None:
            tls.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            status = tls.response().status
            if status:
                return f"HTTP status {status}"
        words = re.sub(r"^(ssl/tls|(ssl|tls)v\d+|tls) (alert )?", "", tls.error or "")
        return f"TLS alert {words.replace(' ', '_')}"


def test_each_step_of_each_gate_is_shown(ask: Ask) -> None:
    """Also those behind the first that fails: an operator mends them all at once."""
    _, text = ask("partner", MIXED, "/partners/")
    assert re.findall(r"^  (ok  |FAIL)  (\S+(?: \S+)?) ", text, re.MULTILINE) == [
        ("ok  ", "host"),
        ("ok  ", "handshake"),
        ("ok  ", "route"),
        ("ok  ", "partners: chain"),
        ("ok  ", "partners: san_uri"),
        ("ok  ", "partners: max_lifetime"),
    ]
    _, text = ask("other", STRICT, "/app/")
    assert "FAIL  cdn: san_dns" in text
    assert "other.example" in text


def test_the_headers_are_those_that_the_app_gets(ask: Ask, site: Site, proxy: ProxyProcess, origin: RawOrigin) -> None:
    """All of them, but for the client's address and the request's number, which only a connection has."""
    _, text = ask("edge", MIXED, "/headers?x=1", "--json")
    told = [header.partition(": ")[::2] for header in msgspec.json.decode(text)["headers"]]
    with TlsClient(proxy.port, MIXED, site.clients["edge"]).handshake() as tls:
        tls.send(f"GET /headers?x=1 HTTP/1.1\r\nHost: {MIXED}\r\n\r\n".encode())
        assert tls.response().status == 200
    seen = origin.next()
    while b"/headers?x=1" not in seen.raw:
        seen = origin.next()
    varying = {"x-forwarded-for", "x-request-id"}
    lower = [(name.lower(), value) for name, value in told]
    assert [name for name, _ in lower] == [name for name, _ in seen.fields]
    assert [pair for pair in lower if pair[0] not in varying] == [p for p in seen.fields if p[0] not in varying]


@pytest.mark.parametrize(("days", "reason"), [(-1, None), (1, "expired")])
def test_another_day_has_another_answer(days: int, reason: str | None, site: Site, ask: Ask) -> None:
    """``--at`` is the judges' clock, before and after the end of a certificate."""
    end = site.clients["partner"].certificate.not_valid_after_utc
    at = (end + timedelta(days=days)).isoformat()
    status, text = ask("partner", MIXED, "/partners/", "--at", at, "--json")
    assert (status, msgspec.json.decode(text)["reason"]) == (0 if reason is None else 1, reason)


def test_a_time_without_an_offset_is_utc(site: Site, ask: Ask) -> None:
    """As everywhere in the log."""
    end = site.clients["partner"].certificate.not_valid_after_utc
    naive = end.astimezone(UTC).replace(tzinfo=None)
    assert ask("partner", MIXED, "/partners/", "--at", (naive - timedelta(minutes=1)).isoformat())[0] == 0
    assert ask("partner", MIXED, "/partners/", "--at", (naive + timedelta(minutes=1)).isoformat())[0] == 1


def test_an_unknown_name_leads_to_the_default_host_where_there_is_one(tmp_path: Path) -> None:
    """And the step says so."""
    hosts = [{"names": [OPEN], "default": True, "certificate": TLS, "routes": [public()]}]
    write_server(tmp_path / "tls")
    Authority.root("CDN CA").write(tmp_path / "cdn.pem")
    config = write_config(tmp_path, document(9, hosts))
    lines: list[str] = []
    now = datetime.now(UTC).timestamp()
    assert explain_command(config, None, "198.51.100.7", "/", now, json=False, write=lines.append) == 0
    assert any(line.endswith(f"{OPEN} (the default host)") for line in lines)


@contextmanager
def _spoilt(site: Site, data: bytes) -> Iterator[str]:
    folder = site.folder / "spoilt"
    folder.mkdir(exist_ok=True)
    (folder / "chain.pem").write_bytes(data)
    yield "spoilt"
    (folder / "chain.pem").unlink()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"no certificate\n", "neither PEM nor one DER certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be parsed"),
        (b"x" * (1 << 20 | 1), "1048576"),
    ],
)
def test_a_bad_chain_file_is_a_wrong_question(
    data: bytes, words: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, with the file's name: nothing was judged."""
    with _spoilt(site, data) as name:
        chain = str(site.folder / name / "chain.pem")
        assert main(["explain", str(site.config), "--cert", chain, "--host", MIXED]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert chain in err
    assert words in err


def test_a_missing_chain_file_is_a_wrong_question(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the question without a certificate."""
    missing = str(site.folder / "missing.pem")
    assert main(["explain", str(site.config), "--cert", missing, "--host", MIXED]) == 2
    assert f"{missing}: does not exist" in capsys.readouterr().err


def test_hostile_text_of_a_certificate_is_escaped(site: Site, ask: Ask) -> None:
    """A subject with escape sequences clears nobody's terminal."""
    hostile = Authority.root("\x1b[2JCA\nok   forged").issue(Leaf(subject="\x1b[2Jedge\nADMITTED"))
    hostile.write(site.folder / "hostile")
    _, text = ask("hostile", MIXED, "/")
    assert "\x1b" not in text
    assert "\nADMITTED" not in text
