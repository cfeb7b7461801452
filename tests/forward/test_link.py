"""Links: what the app says reaches the client whole or not at all, and a link that may be off is not used again."""

from __future__ import annotations

import pytest

from proxy.decide.request.chunked import LAST_CHUNK, ChunkedDecoder
from proxy.decide.verdict import Reason
from proxy.forward.link import MAX_HEAD, MAX_INTERIM, Link
from tests.support.relay import Client, FakePool, FakeTransport

pytestmark = pytest.mark.doubles

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = OK + b"Content-Length: 5\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Relay:
    """One exchange on one link."""

    def __init__(self, method: bytes = b"GET", *, http11: bool = True, has_body: bool = False) -> None:
        self.client = Client()
        self.pool = FakePool()
        self.link: Link
        self.transport: FakeTransport
        self.link, self.transport = self.pool.link()
        self.pool.idle.append(self.link)
        self.exchange = self.pool.exchange(self.client, b"REQUEST", method, http11=http11, has_body=has_body)
        self.exchange.start()

    def say(self, *pieces: bytes) -> Relay:
        """Let the app say something, for as long as the link is open."""
        for piece in pieces:
            if self.transport.closed is None:
                self.link.data_received(piece)
        return self

    @property
    def kept(self) -> bool:
        """Whether the link went back to the pool."""
        return self.pool.kept == [self.link]


def octets(data: bytes) -> list[bytes]:
    """Take data apart."""
    return [bytes([octet]) for octet in data]


def payload_of(got: bytes) -> bytes:
    """Return the body of a response, chunks decoded."""
    head, _, body = got.partition(b"\r\n\r\n")
    if b"Transfer-Encoding: chunked" not in head:
        return body
    decoder = ChunkedDecoder()
    payload = decoder.feed(body)
    assert decoder.done
    return payload


RESPONSES = {
    "length": (LENGTH + b"hello", b"GET", b"hello", True),
    "nothing": (OK + b"Content-Length: 0\r\n\r\n", b"GET", b"", True),
    "chunked": (CHUNKED + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nClient-Cert: forged\r\n\r\n", b"GET", b"hello", True),
    "no chunks": (CHUNKED + LAST_CHUNK, b"GET", b"", True),
    "HEAD": (LENGTH, b"HEAD", b"", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", b"", True),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"GET", b"", True),
    "the app closes": (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"GET", b"hello", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"GET", b"hello", False),
    "more than its length": (LENGTH + b"hello" + OK, b"GET", b"hello", False),
    "a body to HEAD": (LENGTH + b"hello", b"HEAD", b"", False),
    "a body to 204": (b"HTTP/1.1 204 No Content\r\n\r\nx", b"GET", b"", False),
    "more than its chunks": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + OK, b"GET", b"hello", False),
}


@pytest.mark.parametrize(("raw", "method", "payload", "kept"), RESPONSES.values(), ids=RESPONSES.keys())
def test_a_response_is_relayed_whole(raw: bytes, method: bytes, payload: bytes, kept: bool) -> None:
    """And a link is kept only where the app has said exactly what it announced."""
    relay = Relay(method).say(raw)
    assert payload_of(relay.client.got) == payload
    assert relay.client.calls[-1] == "done"
    assert relay.kept is kept
    assert (relay.transport.closed is None) is kept
    assert b"forged" not in relay.client.got


@pytest.mark.parametrize("name", [name for name, row in RESPONSES.items() if row[3]])
def test_a_response_is_the_same_octet_by_octet(name: str) -> None:
    """The network's pieces mean nothing."""
    raw, method, payload, _ = RESPONSES[name]
    relay = Relay(method).say(*octets(raw))
    assert payload_of(relay.client.got) == payload
    assert relay.kept


def test_a_small_response_is_one_write() -> None:
    """Head and body together: one record, one system call."""
    for raw in (LENGTH + b"hello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"):
        assert len(Relay().say(raw).client.pieces) == 1


def test_a_body_is_streamed() -> None:
    """Each piece goes on as it comes."""
    relay = Relay().say(CHUNKED + b"5\r\nhe", b"llo\r\n")
    assert relay.client.pieces[0].endswith(b"\r\n\r\n2\r\nhe\r\n")
    assert relay.client.pieces[1:] == [b"3\r\nllo\r\n"]


def test_a_body_that_ends_with_the_connection_ends_in_good_order() -> None:
    """Chunked for HTTP/1.1, by closing for HTTP/1.0."""
    for http11, body in ((True, b"5\r\nhello\r\n0\r\n\r\n"), (False, b"hello")):
        relay = Relay(http11=http11).say(OK + b"\r\nhel", b"lo")
        assert "done" not in relay.client.calls
        relay.link.connection_lost(None)
        assert payload_of(relay.client.got) == b"hello"
        assert relay.client.got.endswith(body) or http11
        assert relay.client.calls[-1] == "done"
        assert (b"Connection: close" in relay.client.got) is not http11
        assert not relay.kept


def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    """The payload, and the end of the connection."""
    relay = Relay(http11=False).say(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
    assert relay.client.got == OK + b"Connection: close\r\n\r\nhello"
    assert relay.kept


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


@pytest.mark.parametrize("split", [True, False])
def test_interim_responses_go_on_as_they_come(split: bool) -> None:
    """To HTTP/1.1 only; the final response follows."""
    raw = INTERIM + LENGTH + b"hello"
    relay = Relay().say(*octets(raw) if split else [raw])
    assert relay.client.got == raw
    assert relay.client.calls == ["status 200", "done"]
    assert Relay(http11=False).say(raw).client.got == OK + b"Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"


GARBAGE = {
    "noise": b"\x16\x03\x01\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "switching protocols, bare": b"HTTP/1.1 101 X\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "endless head": OK + b"X-A: b\r\n" * (MAX_HEAD // 8 + 1),
    "garbage after an interim response": INTERIM + b"garbage\r\n\r\n",
    "bad chunk at once": CHUNKED + b"xyz\r\n",
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE.keys())
def test_an_answer_that_is_not_http_fails(raw: bytes) -> None:
    """With its own reason, and the link is cut."""
    relay = Relay().say(raw)
    assert relay.client.failure is not None
    assert relay.client.failure[0] is Reason.UPSTREAM_PROTOCOL
    assert relay.client.failure[1].startswith("upstream app: ")
    assert relay.transport.closed == "aborted"
    assert relay.client.calls.count("failed") == 1


def test_a_bad_chunk_in_the_middle_fails_what_has_begun() -> None:
    """The client has to learn that what it got is not all."""
    relay = Relay().say(CHUNKED + b"5\r\nhello\r\n", b"xyz\r\n")
    assert relay.client.calls == ["status 200", "failed"]
    assert not relay.client.got.endswith(LAST_CHUNK)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", None),
        (OK, None),
        (LENGTH + b"hell", None),
        (CHUNKED + b"5\r\nhello\r\n", None),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", None),
        (OK + b"\r\nhello", OSError("reset")),
    ],
)
def test_a_response_that_breaks_off_fails(raw: bytes, fault: OSError | None) -> None:
    """Also one that would have ended with the connection, where the connection was broken and not closed."""
    relay = Relay(b"POST").say(*[raw] if raw else [])
    relay.link.connection_lost(fault)
    assert relay.client.calls[-1] == "failed"
    assert relay.client.failure is not None
    assert relay.client.failure[0] is Reason.UPSTREAM_UNAVAILABLE


def test_an_idle_link_that_speaks_is_cut() -> None:
    """Nobody asked: what it says must never be taken for the answer to the next request."""
    relay = Relay().say(LENGTH + b"hello")
    relay.link.data_received(OK)
    assert relay.transport.closed == "aborted"
    assert relay.pool.removed == [relay.link]


def test_a_link_whose_request_is_not_complete_is_not_kept() -> None:
    """The rest of the body would be read as the next request."""
    relay = Relay(b"POST", has_body=True).say(LENGTH + b"hello")
    assert relay.client.calls[-1] == "done"
    assert not relay.kept
    assert relay.transport.closed == "aborted"


def test_a_kept_link_reads_on_though_its_last_client_was_slow() -> None:
    """The pause ends with the exchange that it was for."""
    relay = Relay()
    relay.say(LENGTH + b"hel")
    relay.exchange.pause_response()
    assert not relay.transport.reading
    relay.say(b"lo")
    assert relay.kept
    assert relay.transport.reading


def test_a_slow_app_pauses_the_clients_body() -> None:
    """And resumes it."""
    relay = Relay(b"POST", has_body=True)
    relay.link.pause_writing()
    relay.link.resume_writing()
    assert relay.client.calls == ["pause", "resume"]


def test_an_abandoned_link_says_nothing_more() -> None:
    """Neither data nor its end reach a client that has gone."""
    relay = Relay().say(LENGTH)
    relay.exchange.cancel()
    before = (relay.client.got, list(relay.client.calls))
    assert relay.transport.closed == "aborted"
    relay.link.connection_lost(None)
    assert (relay.client.got, relay.client.calls) == before
    assert relay.pool.removed == [relay.link]


def test_a_bad_chunk_beside_its_head_is_no_answer_at_all() -> None:
    """Nothing of it was sent, so that the client can be told."""
    relay = Relay().say(CHUNKED + b"xyz\r\n")
    assert relay.client.got == b""
    assert relay.exchange.status == 0
    assert relay.client.failure is not None
    assert relay.client.failure[0] is Reason.UPSTREAM_PROTOCOL


def test_a_head_that_is_too_long_is_refused_however_it_comes() -> None:
    """In one piece too."""
    relay = Relay().say(OK + b"X-A: " + b"b" * MAX_HEAD + b"\r\nContent-Length: 0\r\n\r\n")
    assert relay.client.failure is not None
    assert "longer than" in relay.client.failure[1]


def test_interim_responses_have_an_end() -> None:
    """They would put off the time-out for ever; the next request on the link may have as many again."""
    hints = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    relay = Relay().say(hints * MAX_INTERIM + LENGTH + b"hello")
    assert relay.kept
    relay.exchange = relay.pool.exchange(relay.client, b"REQUEST")
    relay.pool.idle.append(relay.link)
    relay.exchange.start()
    relay.say(hints * MAX_INTERIM)
    assert relay.client.failure is None
    relay.say(hints)
    assert relay.client.failure is not None
    assert "interim" in relay.client.failure[1]


def test_an_idle_link_that_ends_is_nobodys() -> None:
    """Between the app's FIN and the transport's end there may be a request."""
    relay = Relay().say(LENGTH + b"hello")
    assert relay.link.eof_received() is False
    assert relay.pool.removed == [relay.link]


def test_an_exception_of_ours_cuts_the_client() -> None:
    """It is not the app's doing, and the request is not repeated; the event loop hears of it."""
    relay = Relay()

    def fail(*_arguments: object) -> None:
        raise KeyError("x")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "send", fail)
        with pytest.raises(KeyError):
            relay.link.data_received(LENGTH)
    relay.link.connection_lost(KeyError("x"))
    assert relay.client.calls[-1] == "broken: KeyError('x')"
    assert relay.pool.asked == []
