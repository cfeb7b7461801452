"""OCSP from end to end: a real proxy, real clients, and a responder that answers, lies, fails or is gone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.decide.facts import read_certificate
from proxy.operate.demo.pki import Authority, Credential, Leaf
from tests.support import web
from tests.support.certificates import Issued
from tests.support.harness import ProxyProcess, RawOrigin, TlsClient, running
from tests.support.ocsp import REVOKED, UNKNOWN, responder_named, unsuccessful
from tests.support.responder import Behaviour, Responder, cut_short, does, says, sends
from tests.support.site import TLS, ZONE, document, required, write_config, write_server

TIMEOUT: Final = 1
"""Seconds for a responder, of which some never answer."""

REFRESH: Final = 1
"""Seconds: as soon as can be."""


@dataclass
class Scene:
    """A proxy whose clients are asked about."""

    proxy: ProxyProcess
    responder: Responder
    cdn: Authority

    def client(self, responder: Responder | None = None) -> Credential:
        """Issue a certificate that names the responder, or another one."""
        asked = responder or self.responder
        credential = self.cdn.issue(Leaf(subject="edge", extra=(responder_named(asked.address),)))
        asked.known[credential.certificate.serial_number] = issued(credential.certificate, credential.key)
        return credential

    def get(self, credential: Credential) -> tuple[int | None, str | None]:
        """Ask for a page; return the status, and the alert of a refused handshake."""
        with TlsClient(self.proxy.port, ZONE, credential) as client:
            client.handshake()
            client.send(f"GET /page HTTP/1.1\r\nHost: {ZONE}\r\n\r\n".encode())
            head = client.read_until(b"\r\n\r\n")
            return (int(head.split()[1]) if head else None), client.error

    def line(self, event: str, credential: Credential, since: int = 0) -> dict[str, Any]:
        """Return the line about a client."""
        serial = f"{credential.certificate.serial_number:X}"
        return self.proxy.wait_for(
            lambda line: line["event"] == event
            and line.get("certificate", {}).get("serial", "").replace(":", "").lstrip("0").upper() == serial,
            since,
        )


def issued(certificate: Any, key: Any) -> Issued:
    """Return a certificate of the demo's authorities as the tests' own."""
    return Issued(read_certificate(certificate.public_bytes(Encoding.DER)), key)


@contextmanager
def scene(
    folder: Path, cdn: Authority, responder: Responder, mode: str, others: Iterable[Responder] = (),
    *, workers: int = 1, **settings: Any,
) -> Iterator[Scene]:  # fmt: skip
    """Run a proxy that asks the responder."""
    with RawOrigin() as origin:
        cdn.write(folder / "cdn.pem")
        write_server(folder / "tls")
        ocsp = {
            "mode": mode, "responder": "aia", "allow_hosts": [f"localhost:{one.port}" for one in (responder, *others)],
            "timeout": f"{TIMEOUT}s", **settings,
        }  # fmt: skip
        trust = {"cdn": {"anchors": ["cdn.pem"], "revocation": {"check": "leaf", "ocsp": ocsp}}}
        hosts = [{"names": [ZONE], "certificate": TLS, "routes": [required()]}]
        (folder / "cache").mkdir(mode=0o700, exist_ok=True)
        config = document(origin.port, hosts, trust=trust, cache={"directory": "cache"}, workers=workers)
        with running(write_config(folder, config)) as proxy:
            yield Scene(proxy, responder, cdn)


@pytest.fixture(scope="module")
def cdn() -> Authority:
    """Make an authority."""
    return Authority.root("CDN CA")


@pytest.fixture
def responder(cdn: Authority) -> Iterator[Responder]:
    """Run a responder."""
    with Responder(issued(cdn.certificate, cdn.key), now=time.time()) as made:
        yield made


@pytest.fixture(params=["soft", "hard"])
def either(request: pytest.FixtureRequest, tmp_path: Path, cdn: Authority, responder: Responder) -> Iterator[Scene]:
    """Run a proxy in either mode."""
    with scene(tmp_path, cdn, responder, request.param) as made:
        yield made


def test_what_the_responder_says_is_done_in_either_mode(either: Scene) -> None:
    """A good client waits and is forwarded; a revoked one is refused, the second time by an alert; an unknown, too."""
    good, revoked, unknown = either.client(), either.client(), either.client()
    assert either.get(good) == (200, None)
    line = either.line("handshake.accepted", good)
    assert line["waited_ms"] > 0
    assert line["revocation"][0]["ocsp_status"] == "good"
    either.responder.does = says(REVOKED)
    assert either.get(revoked)[0] == 403
    assert either.line("handshake.refused", revoked)["reason"] == "revoked"
    mark = either.proxy.mark()
    assert either.get(revoked) == (None, "tls alert certificate revoked")
    either.responder.does = says(UNKNOWN)
    assert either.get(unknown)[0] == 403
    assert either.line("handshake.refused", unknown)["reason"] == "ocsp-unknown"
    assert either.get(good) == (200, None), "it is asked about no more"
    assert len(either.responder.asked) == 3
    assert not [line for line in either.proxy.lines[mark:] if line["event"] == "internal.error"]


FAILURES: Final[dict[str, tuple[Behaviour, str]]] = {
    "silent": (does(web.silence()), "timed-out"),
    "slow": (does(web.drip(bytes(1000))), "timed-out"),
    "hanging up": (does(web.hang_up()), "unreachable"),
    "500": (does(web.status(500)), "http-status"),
    "elsewhere": (does(web.redirect("http://localhost:1/")), "redirected"),
    "huge": (does(web.endless()), "too-large"),
    "malformed": (cut_short(), "malformed"),
    "tryLater": (sends(unsuccessful(3)), "responder-error"),
    "another nonce": (says(nonce=b"x" * 32), "wrong-nonce"),
    "expired": (says(age=9e5, life=-8e5), "stale"),
}


@pytest.fixture(scope="module")
def failing(cdn: Authority) -> Iterator[dict[str, Responder]]:
    """Run a responder for each failure."""
    with ExitStack() as stack:
        made = {}
        for case, (behaviour, _) in FAILURES.items():
            made[case] = stack.enter_context(Responder(issued(cdn.certificate, cdn.key), now=time.time()))
            made[case].does = behaviour
        yield made


@pytest.fixture(scope="module", params=["soft", "hard"])
def proxied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cdn: Authority,
    failing: dict[str, Responder],
) -> Iterator[tuple[str, Scene]]:  # fmt: skip
    """Run a proxy in either mode that may ask them all."""
    first, *others = failing.values()
    with scene(tmp_path_factory.mktemp("failing"), cdn, first, request.param, others) as made:
        yield request.param, made


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_refuses_or_admits_as_the_mode_says(
    proxied: tuple[str, Scene], failing: dict[str, Responder], case: str
) -> None:
    """With its kind in the evidence, and a line about the responder."""
    mode, made = proxied
    responder, fault = failing[case], FAILURES[case][1]
    client = made.client(responder)
    assert made.get(client)[0] == (200 if mode == "soft" else 403)
    line = made.line("handshake.accepted" if mode == "soft" else "handshake.refused", client)
    assert line.get("reason") == (None if mode == "soft" else "ocsp-unavailable")
    (evidence,) = line["revocation"]
    assert (evidence["ocsp_status"], evidence["ocsp_fault"]) == ("unavailable", fault)
    assert (evidence["source"], bool(evidence["retry_at"])) == (responder.address, True)
    failed = made.proxy.wait_for(
        lambda line: line["event"] == "ocsp.failed" and line["source"] == responder.address
    )  # fmt: skip
    assert failed["ocsp_fault"] == fault
    assert f'responder="localhost:{responder.port}",result="{fault}"' in made.proxy.metrics()


def test_a_dead_responder_is_waited_for_once(tmp_path: Path, cdn: Authority, responder: Responder) -> None:
    """In soft mode the first clients wait for one time-out; none after them waits at all, however many come."""
    responder.does = does(web.silence())
    with scene(tmp_path, cdn, responder, "soft") as made:
        lines = []
        for client in [made.client() for _ in range(21)]:
            assert made.get(client)[0] == 200
            lines.append(made.line("handshake.accepted", client))
        assert lines[0]["waited_ms"] >= TIMEOUT * 1000
        assert max(line["waited_ms"] for line in lines[1:]) < TIMEOUT * 1000
        faults = [line["revocation"][0]["ocsp_fault"] for line in lines]
        assert faults == ["timed-out", *["busy"] * 20]
        responder.does = says()
        made.proxy.wait_for(lambda line: line["event"] == "ocsp.recovered")
        client = made.client()
        assert made.get(client)[0] == 200
        assert made.line("handshake.accepted", client)["revocation"][0]["ocsp_status"] == "good"


def test_a_certificate_revoked_in_mid_connection_is_withdrawn(
    tmp_path: Path, cdn: Authority, responder: Responder
) -> None:
    """The answer is renewed while the connection is idle; when it changes, the connection ends."""
    with scene(tmp_path, cdn, responder, "hard", refresh=f"{REFRESH}s") as made:
        client = made.client()
        with TlsClient(made.proxy.port, ZONE, client) as open_one:
            open_one.handshake()
            assert open_one.get("/page", ZONE).status == 200
            responder.does = says(REVOKED, age=30.0)
            changed = made.proxy.wait_for(lambda line: line["event"] == "ocsp.status-changed")
            assert (changed["before"], changed["status"]) == ("good", "revoked")
            assert open_one.read_all() == b""
        assert made.line("connection.withdrawn", client)["reason"] == "revoked"
        assert made.get(client) == (None, "tls alert certificate revoked")


def test_a_restart_without_network_knows_what_it_knew(tmp_path: Path, cdn: Authority) -> None:
    """Good and revoked clients are judged by the saved answers, in hard mode, with the responder gone."""
    with Responder(issued(cdn.certificate, cdn.key), now=time.time()) as responder:
        with scene(tmp_path, cdn, responder, "hard") as made:
            good, revoked, new = made.client(), made.client(), made.client()
            assert made.get(good)[0] == 200
            responder.does = says(REVOKED)
            assert made.get(revoked)[0] == 403
        responder.close()
        with scene(tmp_path, cdn, responder, "hard") as made:
            assert made.get(good)[0] == 200
            assert made.get(revoked)[0] == 403
            assert made.get(new)[0] == 403
            assert made.line("handshake.refused", new)["reason"] == "ocsp-unavailable"
            assert "originward_ocsp_restored_total 2.0" in made.proxy.metrics()
        responder.restart()


def test_several_workers_share_what_is_asked(tmp_path: Path, cdn: Authority, responder: Responder) -> None:
    """A client is asked about once, whichever worker it comes to; all know who is revoked."""
    with scene(tmp_path, cdn, responder, "hard", workers=2) as made:
        good, revoked = made.client(), made.client()
        for _ in range(12):
            assert made.get(good)[0] == 200
        responder.does = says(REVOKED)
        assert made.get(revoked)[0] == 403
        for _ in range(12):
            assert made.get(revoked) == (None, "tls alert certificate revoked")
        assert len(responder.asked) == 2
        assert 'result="good"} 1.0' in made.proxy.metrics()
