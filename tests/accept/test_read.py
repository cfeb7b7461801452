"""Reading requests: however the octets arrive, the same requests come out, in order."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.accept.read import Reading, RequestReader
from proxy.decide.request.head import RequestHead
from proxy.decide.verdict import Reason, Refused

HEAD: Final = 1024
FIELDS: Final = 16

Call = tuple[str, bytes]


class Recorder:
    """Records what is read; answers each request at once where it is ``prompt``, else when it is told to."""

    def __init__(self, *, prompt: bool = True) -> None:
        self.reader = RequestReader(self, HEAD, FIELDS)
        self.calls: list[Call] = []
        self.prompt = prompt
        self.depth = self.deepest = 0

    def request_head(self, head: RequestHead) -> None:
        """Record a head, and answer where no body follows."""
        self.calls.append(("head", head.method + b" " + head.target))
        if not self.reader.in_body:
            self._answer()

    def request_body(self, data: bytes) -> None:
        """Record a body as one, whatever its pieces."""
        assert data
        if self.calls[-1][0] == "body":
            data = self.calls.pop()[1] + data
        self.calls.append(("body", data))

    def request_end(self) -> None:
        """Record the end of a body, and answer."""
        self.calls.append(("end", b""))
        self._answer()

    def request_refused(self, refusal: Refused) -> None:
        """Record a refusal."""
        self.calls.append(("refused", refusal.reason.value.encode()))

    def _answer(self) -> None:
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)
        if self.prompt:
            self.reader.next()
        self.depth -= 1


def read(*pieces: bytes) -> list[Call]:
    """Return the calls that a stream leads to."""
    recorder = Recorder()
    for piece in pieces:
        recorder.reader.feed(piece)
    return recorder.calls


def get(path: bytes = b"/", fields: bytes = b"") -> bytes:
    """Write a request without a body."""
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, fields)


def post(body: bytes, path: bytes = b"/") -> bytes:
    """Write a request whose body has a length."""
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


def put(*chunks: bytes, trailers: bytes = b"") -> bytes:
    """Write a request with a chunked body."""
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (coded, trailers)


def test_requests_are_read_in_order() -> None:
    """Pipelined in one piece: each head, each body, each end."""
    assert read(get(b"/1") + post(b"hello", b"/2") + put(b"wor", b"ld", trailers=b"X-T: 1\r\n") + get(b"/4")) == [
        ("head", b"GET /1"), ("head", b"POST /2"), ("body", b"hello"), ("end", b""),
        ("head", b"PUT /"), ("body", b"world"), ("end", b""), ("head", b"GET /4"),
    ]  # fmt: skip


def test_empty_bodies_have_no_pieces() -> None:
    """A length of 0 is no body; a chunked body without chunks has an end only."""
    assert read(post(b"") + put()) == [("head", b"POST /"), ("head", b"PUT /"), ("end", b"")]


_BODY = st.binary(min_size=1, max_size=30)
_REQUEST = st.one_of(
    st.sampled_from([get(), get(b"/a?b", b"X-A: b\r\n"), b"\r\n" + get(b"/crlf"), post(b"")]),
    _BODY.map(post),
    st.lists(_BODY, max_size=3).map(lambda chunks: put(*chunks, trailers=b"X-T: 1\r\n")),
)
_ENDS = st.sampled_from(
    [
        b"", b"GET / HT", b"\r\n", b"\r\n\r\n", b"\r\n\r\n" + get(), b"\r", b"\n" + get(), b"GET /\r\n\r\n" + get(),
        b"GET / HTTP/1.1\r\n\r\n" + get(), put()[:-2] + b"X" + get(), get(fields=b"X-A: " + b"a" * HEAD + b"\r\n"),
        get(fields=b"X-A: b\r\n" * FIELDS), b"a" * (HEAD + 5), b"\x16\x03\x01",
    ],
)  # fmt: skip


@given(st.lists(_REQUEST, max_size=5).map(b"".join), _ENDS, st.lists(st.integers(0, 5000), max_size=12))
@example(b"", b"\r\n\r\n" + get(), [2])
@example(b"", b"\r\n\r\n", [2])
@example(b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", [3, 24, 25, 26, 27])
def test_any_split_of_a_stream_leads_to_the_same_calls(stream: bytes, end: bytes, places: list[int]) -> None:
    """Good requests and what ends them: the network's pieces mean nothing."""
    data = stream + end
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    assert read(*(data[start:stop] for start, stop in pairwise(edges))) == read(data)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_octets_are_calls_and_never_an_exception(pieces: list[bytes]) -> None:
    """Nothing that a client sends is."""
    read(*pieces)


def test_a_thousand_pipelined_requests_do_not_nest() -> None:
    """Each answer asks for the next request; that must not be a call within a call within a call."""
    recorder = Recorder()
    recorder.reader.feed(get() * 5_000)
    assert recorder.calls == [("head", b"GET /")] * 5_000
    assert recorder.deepest == 1


def test_the_next_request_waits_for_the_answer() -> None:
    """What is pipelined stays in the buffer, and says when it is enough."""
    recorder = Recorder(prompt=False)
    reader = recorder.reader
    reader.feed(get(b"/1") + get(b"/2"))
    assert recorder.calls == [("head", b"GET /1")]
    assert (reader.state, reader.buffer, reader.crowded) == (Reading.WAIT, get(b"/2"), False)
    reader.feed(get(b"/3") * (HEAD // len(get(b"/3")) + 1))
    assert reader.crowded
    reader.next()
    assert recorder.calls == [("head", b"GET /1"), ("head", b"GET /2")]


def test_what_is_under_way_is_told() -> None:
    """Time-outs and answers go by it."""
    reader = Recorder(prompt=False).reader
    assert not reader.in_head
    reader.feed(b"POST / ")
    assert (reader.in_head, reader.in_body) == (True, False)
    reader.feed(b"HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
    assert (reader.in_head, reader.in_body) == (False, True)
    reader.feed(b"ab")
    assert (reader.in_head, reader.in_body) == (False, False)


def test_nothing_is_read_after_a_stop() -> None:
    """Neither what is in the buffer nor what comes."""
    recorder = Recorder(prompt=False)
    recorder.reader.feed(get(b"/1") + get(b"/2"))
    recorder.reader.stop()
    recorder.reader.feed(get(b"/3"))
    assert recorder.calls == [("head", b"GET /1")]
    assert not recorder.reader.buffer


def padded(size: int) -> bytes:
    """Write a request whose head has exactly ``size`` octets."""
    return get(fields=b"X-A: %b\r\n" % (b"a" * (size - len(get(fields=b"X-A: \r\n")))))


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("size", "last"), [(HEAD, ("head", b"GET /")), (HEAD + 1, ("refused", b"head-too-large"))])
def test_a_head_is_bounded_to_the_octet(size: int, last: Call, whole: bool) -> None:
    """Whole or octet by octet, and with a request in front of it."""
    data = get(b"/1") + padded(size)
    assert read(*([data] if whole else (bytes([octet]) for octet in data)))[1:] == [last]


def test_a_head_that_never_ends_is_refused_at_the_limit() -> None:
    """Not when it is over."""
    assert read(b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * HEAD) == [("refused", Reason.HEAD_TOO_LARGE.value.encode())]


@pytest.mark.parametrize(("lines", "allowed"), [(0, True), (1, True), (2, False), (3, False)])
def test_one_empty_line_before_a_request_is_skipped(lines: int, allowed: bool) -> None:
    """RFC 9112, section 2.2; more of them are no request, however they arrive."""
    expected = [("head", b"POST /"), ("body", b"hello"), ("end", b"")]
    expected.append(("head", b"GET /") if allowed else ("refused", b"bad-request"))
    data = post(b"hello") + b"\r\n" * lines + get()
    assert read(data) == expected
    assert read(*(bytes([octet]) for octet in data)) == expected


def test_a_refused_stream_ends_there() -> None:
    """What follows a request that cannot be read is not looked at: it may be part of it."""
    assert read(get(b"/1") + b"BAD\r\n\r\n" + get(b"/2")) == [("head", b"GET /1"), ("refused", b"bad-request")]
    assert read(put(b"x")[:-5] + b"g\r\n" + get(b"/2"))[-1] == ("refused", b"bad-request")
