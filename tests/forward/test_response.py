"""Response heads: read strictly from the app, written anew for the client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.forward import response
from proxy.forward.response import MAX_FIELDS, BadResponseError, Body, ResponseHead, read_response


def read(fields: bytes = b"", line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> ResponseHead:
    """Read a head of these fields."""
    return read_response(line + b"\r\n" + fields + b"\r\n", method)


def written(
    fields: bytes = b"", line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET", *, http11: bool = True
) -> bytes:
    """Return the head as the client gets it, on a connection that stays."""
    return read(fields, line, method).render(http11=http11, close=False)


LENGTH, CHUNKED = b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("method", "status", "fields", "body"),
    [
        (b"GET", b"200", LENGTH, Body.LENGTH),
        (b"GET", b"200", b"Content-Length: 0\r\n", Body.NONE),
        (b"GET", b"200", CHUNKED, Body.CHUNKED),
        (b"GET", b"200", b"transfer-encoding: CHUNKED \r\n", Body.CHUNKED),
        (b"GET", b"200", b"", Body.CLOSE),
        (b"GET", b"404", LENGTH, Body.LENGTH),
        (b"HEAD", b"200", LENGTH, Body.NONE),
        (b"HEAD", b"200", CHUNKED, Body.NONE),
        (b"HEAD", b"200", b"", Body.NONE),
        (b"GET", b"204", b"", Body.NONE),
        (b"GET", b"304", LENGTH, Body.NONE),
        (b"GET", b"304", b"", Body.NONE),
        (b"GET", b"100", b"", Body.NONE),
        (b"GET", b"103", b"Link: </a>\r\n", Body.NONE),
    ],
)
def test_where_a_body_ends_is_read_from_the_head(method: bytes, status: bytes, fields: bytes, body: Body) -> None:
    """RFC 9112, section 6.3."""
    assert read(fields, b"HTTP/1.1 %b X" % status, method).body is body


BAD = {
    "nothing": b"\r\n\r\n",
    "HTTP/0.9": b"hello\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "another protocol": b"RTSP/1.0 200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding and length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "blank before the colon": b"HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: \x00\r\n\r\n",
    "bare CR in a value": b"HTTP/1.1 200 OK\r\nX-A: b\rc: d\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\r\nX-A: b\nSet-Cookie: c\r\n\r\n",
    "folded line": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nX-A\r\n\r\n",
    "bare CR in the phrase": b"HTTP/1.1 200 O\rK\r\n\r\n",
    "bare LF in the phrase": b"HTTP/1.1 200 O\nK: b\r\n\r\n",
    "LF before the status line": b"\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 X\r\n\r\n",
    "status 000": b"HTTP/1.1 000 X\r\n\r\n",
    "a status from 600 on": b"HTTP/1.1 600 X\r\n\r\n",
    "NUL in the phrase": b"HTTP/1.1 200 O\x00K\r\n\r\n",
    "an escape in the phrase": b"HTTP/1.1 200 O\x1bK\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n",
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD.keys())
def test_what_is_not_http_1_is_an_error(raw: bytes) -> None:
    """It is the app's fault, and nothing of it is passed on."""
    with pytest.raises(BadResponseError):
        read_response(raw, b"GET")


def test_a_response_may_have_many_fields_and_not_more() -> None:
    """The last one that fits is there."""
    head = written(b"X-A: b\r\n" * (MAX_FIELDS - 1) + b"Content-Length: 0\r\n")
    assert head.count(b"X-A: b\r\n") == MAX_FIELDS - 1


@pytest.mark.parametrize(
    ("line", "fields", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK", LENGTH, True),
        (b"HTTP/1.1 200 OK", LENGTH + b"Connection: close\r\n", False),
        (b"HTTP/1.1 200 OK", LENGTH + b"Connection: X, Close\r\n", False),
        (b"HTTP/1.1 200 OK", LENGTH + b"Connection: x\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK", LENGTH + b"Upgrade: h2c\r\nConnection: upgrade\r\n", True),
        (b"HTTP/1.1 200 OK", CHUNKED, True),
        (b"HTTP/1.1 204 X", b"", True),
        (b"HTTP/1.0 200 OK", LENGTH, False),
        (b"HTTP/1.0 200 OK", LENGTH + b"Connection: keep-alive\r\n", True),
    ],
)
def test_whether_the_app_keeps_the_connection_is_read(line: bytes, fields: bytes, keep_alive: bool) -> None:
    """RFC 9112, section 9.3; a 200 that offers an upgrade is an ordinary answer."""
    assert read(fields, line).keep_alive is keep_alive


def test_end_to_end_fields_are_written_as_they_came() -> None:
    """In order, in their own spelling, repeated ones too."""
    fields = b"Date: x\r\nset-cookie: a=1\r\nSet-Cookie: b=2; HttpOnly\r\nX-Empty: \r\nServer: s\xe9\r\n"
    assert written(fields + LENGTH) == b"HTTP/1.1 200 OK\r\n" + fields + LENGTH + b"\r\n"


def test_hop_by_hop_fields_are_dropped() -> None:
    """RFC 9110, section 7.6.1: by name, and by Connection's word."""
    fields = (
        b"Connection: X-Drop, keep-alive\r\nx-drop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: a\r\nTE: a\r\n"
        b"Trailer: X-T\r\nUpgrade: h2c\r\nX-Keep: 2\r\n"
    )
    assert written(fields + CHUNKED) == b"HTTP/1.1 200 OK\r\nX-Keep: 2\r\n" + CHUNKED + b"\r\n"


@pytest.mark.parametrize(
    ("line", "fields", "method", "http11", "framing"),
    [
        (b"HTTP/1.1 200 OK", LENGTH, b"GET", True, LENGTH),
        (b"HTTP/1.1 200 OK", LENGTH, b"HEAD", True, LENGTH),
        (b"HTTP/1.1 200 OK", CHUNKED, b"GET", True, CHUNKED),
        (b"HTTP/1.1 200 OK", b"", b"GET", True, CHUNKED),
        (b"HTTP/1.0 200 OK", b"", b"GET", True, CHUNKED),
        (b"HTTP/1.1 200 OK", CHUNKED, b"HEAD", True, b""),
        (b"HTTP/1.1 204 No Content", b"", b"GET", True, b""),
        (b"HTTP/1.1 204 No Content", b"Content-Length: 0\r\n", b"GET", True, b""),
        (b"HTTP/1.1 304 Not Modified", LENGTH, b"GET", True, LENGTH),
        (b"HTTP/1.1 103 Early Hints", LENGTH + b"Link: a\r\n", b"GET", True, b"Link: a\r\n"),
        (b"HTTP/1.1 200 OK", LENGTH, b"GET", False, LENGTH + b"Connection: keep-alive\r\n"),
        (b"HTTP/1.1 200 OK", CHUNKED, b"GET", False, b"Connection: keep-alive\r\n"),
    ],
)
def test_the_framing_is_written_for_the_client(
    line: bytes, fields: bytes, method: bytes, http11: bool, framing: bytes
) -> None:
    """A body without a length is chunked for HTTP/1.1; HTTP/1.0 knows no chunks."""
    status = line.replace(b"HTTP/1.0", b"HTTP/1.1")
    assert written(fields, line, method, http11=http11) == status + b"\r\n" + framing + b"\r\n"


def test_a_last_response_says_so() -> None:
    """To either version."""
    for http11 in (True, False):
        assert read(LENGTH).render(http11=http11, close=True).endswith(b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"HTTP/1.1 200 Fine, thank you", b"HTTP/1.1 200 Fine, thank you"),
        (b"HTTP/1.1 299 ", b"HTTP/1.1 299 "),
        (b"HTTP/1.1 299", b"HTTP/1.1 299 "),
        (b"HTTP/1.0 599 X", b"HTTP/1.1 599 X"),
    ],
)
def test_status_and_phrase_are_the_apps(line: bytes, expected: bytes) -> None:
    """The version is ours, and so is the blank behind a status without a phrase (RFC 9112, section 4)."""
    assert written(b"Content-Length: 0\r\n", line).startswith(expected + b"\r\n")


_PIECES = st.sampled_from(
    [b"HTTP/1.1 ", b"200", b" OK", b"\r\n", b"\n", b"X-A", b":", b" ", b"Content-Length: ", b"5", b"\x00",
    b"Connection: ", b"close", b","],
)  # fmt: skip


@given(st.one_of(st.binary(max_size=100), st.lists(_PIECES, max_size=20).map(b"".join)))
def test_any_octets_are_a_head_or_an_error(raw: bytes) -> None:
    """And whatever passes can be written."""
    for start in (b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n"):
        try:
            head = read_response((start + raw).partition(b"\r\n\r\n")[0] + b"\r\n\r\n", b"GET")
        except BadResponseError:
            continue
        assert head.render(http11=True, close=True).endswith(b"\r\n\r\n")


KNOWN = b"X-Known: 1\r\n"
READ = ("status", "phrase", "keep_alive", "lines", "length", "chunked", "body")


@pytest.mark.parametrize(
    "fields",
    [LENGTH + LENGTH, b"Content-Length: 5, 5\r\n", b"Content-Length: +5\r\n", b"Content-Length: \r\n",
     b"Content-Length: 5\x0b\r\n", b"Content-Length: " + b"9" * 5_000 + b"\r\n", b" folded\r\n", b"X-Known : 1\r\n",
     LENGTH + CHUNKED, CHUNKED + LENGTH, CHUNKED + CHUNKED, b"X-Bare: a\nb\r\n"],
)  # fmt: skip
def test_lines_that_were_met_before_hide_no_bad_one(fields: bytes) -> None:
    """A head is read the short way only where every line is known, or is one plain length."""
    assert read(KNOWN + LENGTH).length == read(KNOWN + LENGTH).length == 5
    for around in (KNOWN + fields, fields + KNOWN):
        with pytest.raises(BadResponseError):
            read(around)


def test_a_head_that_was_met_before_is_read_as_it_was_the_first_time() -> None:
    """For each method, version and framing."""
    fields = KNOWN + b"Connection: keep-alive\r\nX-Again: 2\r\n"
    for line in (b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content"):
        for method in (b"GET", b"HEAD"):
            for framing in (LENGTH, b"", b"Content-Length: 0\r\n"):
                heads = [read(fields + framing, line, method) for _ in range(2)]
                first, again = [[getattr(head, name) for name in READ] for head in heads]
                assert first == again


def test_lines_that_vary_fill_no_memory() -> None:
    """The memory begins anew when it is full."""
    for number in range(2 * response._MAX_LINES):
        read(b"ETag: %d\r\n" % number)
    assert len(response._lines) <= response._MAX_LINES
