"""Fetch: an answer within bounds, from those who may be asked; each failure has its kind and its words."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import trustme
import uvloop

from proxy.control.fetch import Fetcher
from proxy.control.fetched import MAX_VALIDATOR, Fetched, NotModified, Request, Unfetched, Validators
from proxy.decide.peer.answers import Fault
from tests.support import web
from tests.support.harness import PATIENCE
from tests.support.web import Answer, Call, Web

T = TypeVar("T")
LIMIT: Final = 100_000
"""Octets that a test's request takes."""

SHORT: Final = 0.4
"""Seconds of a request that is to be given up."""

AUTHORITY: Final = trustme.CA()
ROOTS: Final = AUTHORITY.cert_pem.bytes().decode()


@pytest.fixture
def secure() -> Iterator[Web]:
    """Start a server with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    with Web(context) as found:
        yield found


def run(work: Callable[[Fetcher], Coroutine[Any, Any, T]], roots: str = ROOTS, **bounds: Any) -> T:
    """Work with a fetcher in a loop such as the proxy has."""

    async def whole() -> T:
        fetcher = Fetcher(roots, **bounds)
        try:
            return await work(fetcher)
        finally:
            await fetcher.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


def localhost(url: str) -> bool:
    """Allow the servers of the tests."""
    return "//localhost:" in url


def request(url: str, **fields: Any) -> Request:
    """Make a request with the bounds of the tests."""
    return Request(**{"url": url, "max_octets": LIMIT, "seconds": PATIENCE, "allows": localhost, **fields})


def fetch(url: str, roots: str = ROOTS, **fields: Any) -> Fetched | NotModified | Unfetched:
    """Fetch one address."""
    return run(lambda fetcher: fetcher.fetch(request(url, **fields)), roots)


def unfetched(url: str, **fields: Any) -> tuple[Fault, str]:
    """Fetch what cannot be, and return why."""
    outcome = fetch(url, **fields)
    assert isinstance(outcome, Unfetched), outcome
    return outcome.fault, outcome.detail


def fetched(url: str, **fields: Any) -> Fetched:
    """Fetch what can be."""
    outcome = fetch(url, **fields)
    assert isinstance(outcome, Fetched), outcome
    return outcome


# --- what comes


def test_an_answer_comes_with_what_it_can_be_known_by(server: Web) -> None:
    """The body as it is, its type, and the validators."""
    server.answers["/ca.crl"] = web.body(b"list", '"1"', "Mon, 01 Jan 2024 00:00:00 GMT")
    known = Validators('"1"', "Mon, 01 Jan 2024 00:00:00 GMT")
    assert fetched(server.url()) == Fetched(server.url(), b"list", "application/pkix-crl", known)
    seen = server.seen[0]
    assert (seen.header("accept-encoding"), seen.header("cookie")) == ("identity", None)
    assert (seen.header("user-agent") or "").startswith("originward/")


@pytest.mark.parametrize("known", [Validators(etag='"1"'), Validators(last_modified="Mon, 01 Jan 2024 00:00:00 GMT")])
def test_what_is_at_hand_is_not_sent_again(server: Web, known: Validators) -> None:
    """304 to whoever has it; the other one still gets it."""
    server.answers["/ca.crl"] = web.body(b"list", known.etag, known.last_modified)
    assert fetch(server.url(), known=known) == NotModified(server.url())
    assert fetched(server.url(), known=Validators('"0"')).body == b"list"


def test_a_304_that_nobody_asked_for_is_no_answer(server: Web) -> None:
    """There is nothing at hand that it could mean."""
    server.answers["/ca.crl"] = web.status(304, "Not Modified")
    assert unfetched(server.url()) == (Fault.HTTP_STATUS, "answered 304 Not Modified")


def test_a_long_validator_is_forgotten(server: Web) -> None:
    """It would be sent with every request from then on."""
    server.answers["/ca.crl"] = web.body(b"list", f'"{"x" * MAX_VALIDATOR}"')
    assert fetched(server.url()).validators == Validators()


def test_a_body_makes_a_post(server: Web) -> None:
    """With the type that the asker names."""
    server.answers["/"] = web.body(b"answer")
    headers = {"Content-Type": "application/ocsp-request"}
    assert fetched(server.url("/"), body=b"question", headers=headers).body == b"answer"
    seen = server.seen[0]
    assert (seen.method, seen.body, seen.header("content-type")) == ("POST", b"question", headers["Content-Type"])


def test_the_environment_has_no_say(server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that somebody set for a shell is not used."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.answers["/ca.crl"] = web.body(b"list")
    assert fetched(server.url()).body == b"list"


# --- redirects


def test_redirects_are_followed_as_far_as_is_allowed(server: Web) -> None:
    """Relative ones too; the address of the answer is the last one's."""
    server.answers |= {"/a": web.redirect("b"), "/b": web.redirect(server.url("/c")), "/c": web.body(b"list")}
    outcome = fetched(server.url("/a"), max_redirects=2)
    assert (outcome.body, outcome.url) == (b"list", server.url("/c"))
    fault, detail = unfetched(server.url("/a"), max_redirects=1)
    assert (fault, detail) == (Fault.REDIRECTED, f"more than 1 redirects, the last to {server.url('/c')}")


def test_no_redirect_is_followed_where_none_is_allowed(server: Web) -> None:
    """As for a responder's answer."""
    server.answers["/a"] = web.redirect("/b")
    assert unfetched(server.url("/a")) == (Fault.REDIRECTED, "redirected to /b, and no redirect is followed")
    assert server.count("/b") == 0


def test_a_loop_of_redirects_has_an_end(server: Web) -> None:
    """After as many requests as are allowed."""
    server.answers["/a"] = web.redirect("/a", 307)
    assert unfetched(server.url("/a"), max_redirects=3)[0] is Fault.REDIRECTED
    assert server.count("/a") == 4


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest/", "http://user@localhost/", "file:///etc/passwd", "//127.0.0.1/x"]
)
def test_a_redirect_to_whom_nobody_allows_is_not_followed(server: Web, location: str) -> None:
    """Each hop is checked: a server that may be asked is no way to others."""
    server.answers["/a"] = web.redirect(location)
    assert unfetched(server.url("/a"), max_redirects=3)[0] is Fault.HOST_NOT_ALLOWED


def test_a_redirect_never_leaves_tls(secure: Web, server: Web) -> None:
    """Not even to an allowed host."""
    server.answers["/b"] = web.body(b"list")
    secure.answers["/a"] = web.redirect(server.url("/b"))
    fault, detail = unfetched(secure.url("/a"), max_redirects=3)
    assert (fault, detail) == (Fault.REDIRECTED, f"redirected from https to {server.url('/b')}")
    assert server.count("/b") == 0


# --- TLS


def test_an_https_server_is_verified(secure: Web) -> None:
    """By the roots that were given, and by its name."""
    secure.answers["/ca.crl"] = web.body(b"list")
    assert fetched(secure.url()).body == b"list"
    other = trustme.CA().cert_pem.bytes().decode()
    fault, detail = unfetched(secure.url(), roots=other)
    assert fault is Fault.UNREACHABLE
    assert "certificate verify failed" in detail
    fault, detail = unfetched(secure.url().replace("localhost", "127.0.0.1"), allows=lambda _url: True)
    assert fault is Fault.UNREACHABLE
    assert "IP address mismatch" in detail


def test_the_roots_of_the_system_are_not_used(secure: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever OpenSSL's variables say."""
    (tmp_path / "roots.pem").write_text(ROOTS)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    secure.answers["/ca.crl"] = web.body(b"list")
    assert unfetched(secure.url(), roots=trustme.CA().cert_pem.bytes().decode())[0] is Fault.UNREACHABLE


# --- what fails

FAILING: Final[dict[str, tuple[Answer, Fault, str]]] = {
    "a status": (web.status(500), Fault.HTTP_STATUS, "answered 500 Trouble"),
    "a part": (web.status(206), Fault.HTTP_STATUS, "answered 206"),
    "a cut body": (web.cut(b"list"), Fault.UNREACHABLE, "broken off after 4 octets"),
    "a cut chunk": (web.chunked_cut(b"list"), Fault.UNREACHABLE, "broken off after 4 octets"),
    "a lie about a huge length": (web.cut(b"", LIMIT + 1), Fault.TOO_LARGE, f"{LIMIT + 1} octets announced"),
    "an endless body": (web.endless(), Fault.TOO_LARGE, f"more than {LIMIT} octets"),
    "an endless head": (web.endless_head(), Fault.MALFORMED, "no HTTP: "),
    "more than was announced": (web.too_much(b"list and more", 4), Fault.MALFORMED, "no HTTP: "),
    "a bomb": (web.bomb(50 * LIMIT), Fault.MALFORMED, "compressed (gzip)"),
    "no HTTP": (web.garbage(), Fault.MALFORMED, "no HTTP: "),
    "no word": (web.hang_up(), Fault.UNREACHABLE, "disconnected"),
}


@pytest.mark.parametrize("case", FAILING)
def test_every_failure_has_its_kind_and_its_words(server: Web, case: str) -> None:
    """And is a value."""
    answer, fault, words = FAILING[case]
    server.answers["/ca.crl"] = answer
    found, detail = unfetched(server.url())
    assert found is fault
    assert words in detail
    assert detail.isprintable()
    assert detail


@pytest.mark.parametrize("answer", [web.silence(), web.drip(bytes(1000))], ids=["silence", "drip"])
def test_the_time_is_that_of_the_whole(server: Web, answer: Answer) -> None:
    """However often an octet comes."""
    server.answers["/ca.crl"] = answer
    assert unfetched(server.url(), seconds=SHORT) == (Fault.TIMED_OUT, f"no whole answer within {SHORT} s")


def test_nobody_is_there(server: Web) -> None:
    """A refused connection."""
    server.close()
    fault, detail = unfetched(server.url())
    assert fault is Fault.UNREACHABLE
    assert detail.startswith(f"no connection to localhost:{server.port}: ")
    assert "object at" not in detail


def test_a_name_that_nobody_knows() -> None:
    """RFC 2606 keeps it free."""
    fault, detail = unfetched("http://pki.invalid/ca.crl", allows=lambda _url: True)
    assert fault is Fault.UNREACHABLE
    assert "pki.invalid" in detail


@pytest.mark.parametrize(
    "url",
    ["ftp://localhost:1/x", "file:///etc/passwd", "http://user:pw@localhost:1/x", "http:///x", "http://other.example/"],
)
def test_an_address_that_may_not_be_asked(url: str) -> None:
    """Whoever it came from."""
    assert unfetched(url)[0] is Fault.HOST_NOT_ALLOWED


# --- many


def test_few_are_asked_at_a_time_and_of_one_host_fewer(server: Web) -> None:
    """The others wait for their turn, and get it."""
    lock, level, peak = threading.Lock(), [0], [0]
    full = threading.Barrier(2)

    def answer(call: Call) -> None:
        with lock:
            level[0] += 1
            peak[0] = max(peak[0], level[0])
        full.wait(PATIENCE)
        with lock:
            level[0] -= 1
        web.body(b"list")(call)

    server.answers["/ca.crl"] = answer

    async def work(fetcher: Fetcher) -> list[Fetched | NotModified | Unfetched]:
        return await asyncio.gather(*(fetcher.fetch(request(server.url())) for _ in range(6)))

    outcomes = run(work, max_per_host=2)
    assert all(isinstance(outcome, Fetched) for outcome in outcomes)
    assert peak[0] == 2


def test_giving_up_in_the_queue_takes_nobodys_turn(server: Web) -> None:
    """The turn of one that was given up goes to the next."""
    server.answers |= {"/slow": web.silence(), "/ca.crl": web.body(b"list")}

    async def work(fetcher: Fetcher) -> tuple[Unfetched, Unfetched, Fetched]:
        slow = asyncio.create_task(fetcher.fetch(request(server.url("/slow"), seconds=2 * SHORT)))
        hasty = asyncio.create_task(fetcher.fetch(request(server.url(), seconds=SHORT)))
        patient = asyncio.create_task(fetcher.fetch(request(server.url())))
        return await slow, await hasty, await patient  # type: ignore[return-value]

    slow, hasty, patient = run(work, max_at_once=1)
    assert (slow.fault, hasty.fault) == (Fault.TIMED_OUT, Fault.BUSY)
    assert hasty.detail == f"waited {SHORT} s for its turn among others"
    assert patient.body == b"list"
