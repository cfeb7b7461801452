"""Response heads: read strictly from the app, written anew for the client (RFC 9112)."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import httptools

HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
MAX_FIELDS: Final = 256
"""Fields of a response: the app is ours, so this only bounds what a broken one can cost."""

_KEEP: Final = 0
_LENGTH: Final = 1
_CODING: Final = 2
_CONNECTION: Final = 3
_DROP: Final = 4
_OWN: Final = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
} | dict.fromkeys(HOP_BY_HOP - {b"connection", b"transfer-encoding"}, _DROP)
_MAX_KNOWN: Final = 2_000
_known: dict[bytes, int] = {}


class BadResponseError(ValueError):
    """An answer of the app that is not HTTP/1.1; the message says why."""


class Body(Enum):
    """How a response's body ends (RFC 9112, section 6.3)."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()


class ResponseHead:
    """A response's head. ``lines`` holds the forwarded fields flat; ``length`` is None where none is given."""

    __slots__ = ("body", "chunked", "keep_alive", "length", "lines", "options", "phrase", "status")
    status: int
    keep_alive: bool
    body: Body

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.length: int | None = None
        self.chunked = False
        self.options = b""
        self.phrase = b""

    def on_status(self, phrase: bytes) -> None:
        """Take the reason phrase from the parser."""
        self.phrase += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field from the parser."""
        kind = _known.get(name)
        if kind is None:
            kind = _OWN.get(name.lower(), _KEEP)
            if len(_known) < _MAX_KNOWN:
                _known[name] = kind
        if kind == _KEEP:
            self.lines += (name, b": ", value, b"\r\n")
        elif kind == _LENGTH:
            self.length = int(value)
        elif kind == _CODING:
            self.chunked = True
            if value.strip().lower() != b"chunked":
                raise BadResponseError(f"transfer coding {value[:100].decode('latin-1')!a}")
        elif kind == _CONNECTION:
            self.options += b"," + value.lower()

    def render(self, *, http11: bool, close: bool) -> bytes:
        """Write the head for a client of HTTP/1.1 or 1.0; ``close`` says that the connection ends with it."""
        parts = [b"HTTP/1.1 %d %b\r\n" % (self.status, self.phrase), *self.lines]
        if self.length is not None and not self.chunked and self.status != _NO_CONTENT:
            parts.append(b"Content-Length: %d\r\n" % self.length)
        elif http11 and self.body in (Body.CHUNKED, Body.CLOSE):
            parts.append(b"Transfer-Encoding: chunked\r\n")
        if close:
            parts.append(b"Connection: close\r\n")
        elif not http11:
            parts.append(b"Connection: keep-alive\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)


_NO_CONTENT: Final = 204
_NOT_MODIFIED: Final = 304
_FIRST_FINAL: Final = 200


def read_response(raw: bytes, method: bytes) -> ResponseHead:
    """Read the head of the answer to a request of ``method``. Raises BadResponseError."""
    if raw.count(b"\n") - 2 > MAX_FIELDS:
        raise BadResponseError(f"more than {MAX_FIELDS} fields")
    head = ResponseHead()
    parser = httptools.HttpResponseParser(head)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade as fault:
        raise BadResponseError("it switches protocols, which was not asked for") from fault
    except httptools.HttpParserError as fault:
        raise BadResponseError(str(fault.__context__ or fault)) from fault
    head.status = parser.get_status_code()
    head.keep_alive = raw.startswith(b"HTTP/1.1")
    if not head.keep_alive and not raw.startswith(b"HTTP/1.0"):
        raise BadResponseError("it is not HTTP/1.1 or 1.0")
    head.body = _body_of(head, method)
    if head.options:
        _read_options(head)
    return head


def _body_of(head: ResponseHead, method: bytes) -> Body:
    if method == b"HEAD" or head.status < _FIRST_FINAL or head.status in (_NO_CONTENT, _NOT_MODIFIED):
        return Body.NONE
    if head.chunked:
        return Body.CHUNKED
    if head.length is None:
        return Body.CLOSE
    return Body.LENGTH if head.length else Body.NONE


def _read_options(head: ResponseHead) -> None:
    """Take the options of Connection, and drop the fields that they name (RFC 9110, section 7.6.1)."""
    named = {token.strip(b" \t") for token in head.options.split(b",")}
    head.keep_alive = b"close" not in named and (head.keep_alive or b"keep-alive" in named)
    if named <= {b"", b"close", b"keep-alive"}:
        return
    lines = head.lines
    starts = range(0, len(lines), 4)
    head.lines = [part for i in starts if lines[i].lower() not in named for part in lines[i : i + 4]]
