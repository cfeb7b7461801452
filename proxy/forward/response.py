"""Response heads: read strictly from the app, written anew for the client (RFC 9112)."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

import httptools

from proxy.decide.request.head import NOBODY, drop_named

HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
MAX_FIELDS: Final = 256
"""Fields of a response: the app is ours, so this only bounds what a broken one can cost."""

_KEEP: Final = 0
_DROP: Final = 1
_LENGTH: Final = 2
_CODING: Final = 3
_CONNECTION: Final = 4
_OWN: Final = dict.fromkeys(HOP_BY_HOP, _DROP) | {
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
}
_MAX_KNOWN: Final = 2_000
_MAX_KNOWN_LINE: Final = 128
_MAX_LINES: Final = 1_000
_Parser: Final = httptools.HttpResponseParser
_known: Final[dict[bytes, int]] = {}
_lines: Final[set[bytes]] = set()
"""Field lines that llhttp has seen, and that are forwarded as they stand: an app repeats most of its own."""

_LENGTH_LINE: Final = b"Content-Length: "
_KEEP_ALIVE_LINE: Final = b"Connection: keep-alive"
_MAX_DIGITS: Final = 18


class BadResponseError(ValueError):
    """An answer of the app that is not HTTP/1.1; the message says why."""


class Body(Enum):
    """How a response's body ends (RFC 9112, section 6.3)."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()


class ResponseHead:
    """A response's head. ``lines`` holds the forwarded fields; ``length`` is None where none is given."""

    __slots__ = ("body", "chunked", "keep_alive", "length", "lines", "options", "phrase", "status")
    body: Body

    def __init__(self, start: tuple[int, bytes, bool]) -> None:
        self.status, self.phrase, self.keep_alive = start
        self.lines: list[bytes] = []
        self.length: int | None = None
        self.chunked = False
        self.options = b""

    def render(self, *, http11: bool, close: bool) -> bytes:
        """Write the head for a client of HTTP/1.1 or 1.0; ``close`` says that the connection ends with it."""
        end = b"\r\n\r\n"
        if close:
            end = b"\r\nConnection: close\r\n\r\n"
        elif not http11:
            end = b"\r\nConnection: keep-alive\r\n\r\n"
        if self.length is not None:
            end = b"\r\nContent-Length: %d%b" % (self.length, end)
        elif http11 and (self.body is _BODY_CHUNKED or self.body is _BODY_CLOSE):
            end = b"\r\nTransfer-Encoding: chunked" + end
        if self.lines:
            return b"HTTP/1.1 %d %b\r\n%b%b" % (self.status, self.phrase, b"\r\n".join(self.lines), end)
        return b"HTTP/1.1 %d %b%b" % (self.status, self.phrase, end)


_NO_CONTENT: Final = 204
_BODILESS: Final = (_NO_CONTENT, 304)
_FIRST_FINAL: Final = 200
_FIRST, _BEYOND = 100, 600  # RFC 9110, section 15
_CONTROL: Final = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]")


_BODY_NONE: Final = Body.NONE
_BODY_LENGTH: Final = Body.LENGTH
_BODY_CHUNKED: Final = Body.CHUNKED
_BODY_CLOSE: Final = Body.CLOSE


_status_lines: Final[dict[bytes, tuple[int, bytes, bool]]] = {}


def _read_status_line(line: bytes) -> tuple[int, bytes, bool]:
    """Return the status, the reason phrase, and whether it is HTTP/1.1; remember it, as an app has few of them."""
    http11 = line.startswith(b"HTTP/1.1 ")
    if not http11 and not line.startswith(b"HTTP/1.0 "):
        raise BadResponseError("it is not HTTP/1.1 or 1.0")
    read = int(line[9:12]), line[13:], http11
    if not _FIRST <= read[0] < _BEYOND:
        raise BadResponseError(f"status {read[0]}")
    if _CONTROL.search(read[1]):
        raise BadResponseError("a control character in its reason phrase")
    if len(_status_lines) < _MAX_KNOWN and len(line) <= _MAX_KNOWN_LINE:
        _status_lines[line] = read
    return read


def read_response(raw: bytes, method: bytes) -> ResponseHead:
    """Read the head of the answer to a request of ``method``. Raises BadResponseError."""
    lines = raw.split(b"\r\n")
    head = _read_known(lines)
    if head is None:
        head = _read_any(raw, lines)
    head.body = _body_of(head, method)
    return head


def _read_known(lines: list[bytes]) -> ResponseHead | None:
    """Read a head of lines that were met before, and a length; None where there is anything else in it."""
    start = _status_lines.get(lines[0])
    if start is None or len(lines) - 3 > MAX_FIELDS:
        return None
    head = ResponseHead(start)
    forwarded = head.lines
    for line in lines[1:-2]:
        if line in _lines:
            forwarded.append(line)
        elif line.startswith(_LENGTH_LINE):
            digits = line[len(_LENGTH_LINE) :]
            if head.length is not None or not digits.isdigit() or len(digits) > _MAX_DIGITS:
                return None
            head.length = int(digits)
        elif line == _KEEP_ALIVE_LINE:
            head.keep_alive = True
        else:
            return None
    return head


def _read_any(raw: bytes, lines: list[bytes]) -> ResponseHead:
    """Read a head line by line."""
    # As for requests: llhttp proves the form, and from there on splitting is parsing.
    try:
        _Parser(NOBODY).feed_data(raw)
    except httptools.HttpParserUpgrade as fault:
        raise BadResponseError("it switches protocols, which was not asked for") from fault
    except httptools.HttpParserError as fault:
        raise BadResponseError(str(fault)) from fault
    if len(lines) - 3 > MAX_FIELDS:  # besides the status line, and the two empty strings behind the last field
        raise BadResponseError(f"more than {MAX_FIELDS} fields")
    head = ResponseHead(_status_lines.get(lines[0]) or _read_status_line(lines[0]))
    for line in lines[1:-2]:
        name, _, value = line.partition(b":")
        kind = _known.get(name)
        if kind is None:
            kind = _sort(name)
        _take(head, kind, line, value.strip())
    options = head.options
    if options == b"keep-alive":
        head.keep_alive = True
    elif options:
        _read_options(head)
    return head


def _take(head: ResponseHead, kind: int, line: bytes, value: bytes) -> None:
    if kind == _KEEP:
        head.lines.append(line)
        _remember(line)
    elif kind == _LENGTH:
        head.length = int(value)
    elif kind == _CONNECTION:
        head.options = head.options + b"," + value.lower() if head.options else value.lower()
    elif kind == _CODING:
        if value.lower() != b"chunked" or head.chunked:
            raise BadResponseError(f"transfer coding {value[:100].decode('latin-1')!a}")
        if not head.keep_alive:  # which says no more than the version until all fields are read
            raise BadResponseError("a chunked body in HTTP/1.0")
        head.chunked = True


def _remember(line: bytes) -> None:
    """Remember a line; when there are too many, of which most will not come again, begin anew."""
    if len(line) <= _MAX_KNOWN_LINE:
        if len(_lines) >= _MAX_LINES:
            _lines.clear()
        _lines.add(line)


def _sort(name: bytes) -> int:
    kind = _OWN.get(name.lower(), _KEEP)
    if len(_known) < _MAX_KNOWN and len(name) <= _MAX_KNOWN_LINE:
        _known[name] = kind
    return kind


def _body_of(head: ResponseHead, method: bytes) -> Body:
    status = head.status
    if method == b"HEAD" or status < _FIRST_FINAL or status in _BODILESS:
        if status < _FIRST_FINAL or status == _NO_CONTENT:  # these have no length (RFC 9110, section 8.6)
            head.length = None
        return _BODY_NONE
    if head.chunked:
        return _BODY_CHUNKED
    if head.length is None:
        return _BODY_CLOSE
    return _BODY_LENGTH if head.length else _BODY_NONE


def _read_options(head: ResponseHead) -> None:
    """Take the options of Connection, and drop the fields that they name (RFC 9110, section 7.6.1)."""
    named = {token.strip(b" \t") for token in head.options.split(b",")}
    head.keep_alive = b"close" not in named and (head.keep_alive or b"keep-alive" in named)
    head.lines = drop_named(head.lines, named)
