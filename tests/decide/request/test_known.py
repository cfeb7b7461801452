"""What is remembered of heads: never more than llhttp would take, and never more than a bounded amount."""

from __future__ import annotations

import pytest

from proxy.decide.request import known as module
from proxy.decide.request.fields import Field
from proxy.decide.request.head import RequestHead, read_head
from proxy.decide.request.known import (
    MAX_KNOWN_LINE,
    MAX_KNOWN_STARTS,
    MAX_LINES_OF_NAME,
    field_of,
    known_line,
    known_start,
)  # fmt: skip


def read(line: bytes) -> list[bytes]:
    """Read a head with this line, and return what is forwarded of it."""
    head = read_head(b"GET / HTTP/1.1\r\nHost: a.example\r\n%b\r\n\r\n" % line, 8)
    assert isinstance(head, RequestHead), head
    return head.lines


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1", b"PUT /a/b.c/?d=/.. HTTP/1.0", b"GET /~a/@b,c?? HTTP/1.1"])
def test_a_request_line_with_one_reading_is_known(start: bytes) -> None:
    """Whatever is in its query."""
    read_start = known_start(start)
    assert read_start is not None
    method, target, version = start.split(b" ")
    assert (read_start.method, read_start.target) == (method, target)
    assert read_start.http11 == (version == b"HTTP/1.1")
    assert read_start.paths == (target.partition(b"?")[0].decode(),)


@pytest.mark.parametrize(
    "start",
    [b"", b"GET", b"GET  HTTP/1.1", b"GET ?a HTTP/1.1", b"GET /../a HTTP/1.1", b"GET //a HTTP/1.1", b"GET /%6 HTTP/1.1",
     b"GET /a;b HTTP/1.1", b"GET /a#b HTTP/1.1", b"GET /a?b#c HTTP/1.1", b"GET / HTTP/1.2", b"GET / HTTP/1.1 ",
     b"CONNECT / HTTP/1.1", b"FROBNICATE / HTTP/1.1", b"GET http://a.example/ HTTP/1.1", b"GET /\xe9 HTTP/1.1"],
)  # fmt: skip
def test_any_other_takes_a_closer_look(start: bytes) -> None:
    """It may be good all the same."""
    assert known_start(start) is None


def test_a_line_under_a_known_name_is_known_where_its_value_is_plain() -> None:
    """White space around it and octets that are not ASCII are for the parser."""
    assert known_line(b"Q-Plain: a") is None
    assert field_of(b"Q-Plain") is Field.FORWARD
    line = known_line(b'Q-Plain: a "b", c')
    assert line is not None
    assert line.field is Field.FORWARD
    for value in (b"", b" a", b"a ", b"a\t", b"a\x00b", b"a\x7f", b"\xe9", b"a\rb", b"a\nb"):
        assert known_line(b"Q-Plain: " + value) is None
    assert known_line(b"Q-Plain:a") is None


def test_framing_is_known_where_it_is_one_number() -> None:
    """Codings are for the parser, each time."""
    assert field_of(b"Content-Length") is Field.CONTENT_LENGTH
    assert field_of(b"Transfer-Encoding") is Field.TRANSFER_ENCODING
    assert known_line(b"Transfer-Encoding: chunked") is None
    line = known_line(b"Content-Length: 12")
    assert line is not None
    assert line.value == b"12"
    for value in (b"+5", b"1_0", b"5, 5", b"9" * 16):
        assert known_line(b"Content-Length: " + value) is None


def test_lines_that_vary_are_remembered_a_few_times_only() -> None:
    """A client cannot fill the memory with values, nor with long ones."""
    for number in range(10 * MAX_LINES_OF_NAME):
        line = b"X-Varying: %d" % number
        assert read(line) == [line]
        read(b"X-Varying-And-Long: %d%b" % (number, b"x" * 1_000))
    assert sum(line.startswith(b"X-Varying") for line in module._lines) == MAX_LINES_OF_NAME


def test_request_lines_that_vary_do_not_fill_the_memory() -> None:
    """Neither many nor long ones."""
    for number in range(2 * MAX_KNOWN_STARTS):
        assert known_start(b"GET /%d HTTP/1.1" % number) is not None
    assert len(module._starts) <= MAX_KNOWN_STARTS
    long = b"GET /%b HTTP/1.1" % (b"a" * MAX_KNOWN_LINE)
    assert known_start(long) is not None
    assert long not in module._starts
