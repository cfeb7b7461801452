"""Request heads: read strictly, sorted once (RFC 9112).

llhttp refuses what is malformed; what is only ambiguous is refused here. Fields are sorted as they are read into what
is forwarded, what is dropped, and what the proxy itself has to know, so that nothing is looked for twice. A head of
lines whose form is beyond doubt (``known.py``) is read without llhttp, and to the same result.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final

import httptools

from proxy.decide.request.fields import Field
from proxy.decide.request.known import field_of, known_line, known_start
from proxy.decide.request.path import readings
from proxy.decide.text import quoted
from proxy.decide.verdict import Reason, Refused

MAX_REQUEST_ID: Final = 128
"""Octets of an X-Request-Id that is taken over; a longer one is no identifier and gets replaced."""

MAX_QUOTED: Final = 100
"""Octets of a value that a refusal quotes: enough to recognise it."""

_quoted: Final = partial(quoted, limit=MAX_QUOTED)
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,%d}" % MAX_REQUEST_ID)
_NO_TOKEN: Final = re.compile(rb"[^!#$%&'*+.^_`|~0-9A-Za-z-]")
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#@\\]+)(/[^#]*|\?[^#]*)?")

# Reading a member off an enumeration is slow enough to show in a profile of requests.
_FORWARD: Final = Field.FORWARD
_DROP: Final = Field.DROP
_FROM_ADMITTED: Final = Field.FROM_ADMITTED
_HOST: Final = Field.HOST
_CONNECTION: Final = Field.CONNECTION
_FORWARDED_FOR: Final = Field.FORWARDED_FOR
_VIA: Final = Field.VIA
_REQUEST_LINE_PARTS: Final = 3
_FIRST_LETTER: Final = ord("A")  # llhttp passes over line ends in front of a method
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0")
_Parser: Final = httptools.HttpRequestParser


class RequestHead:
    """A request's head, sorted.

    ``lines`` holds the forwarded fields (``Name: value``, without line ends), ``from_admitted`` those that pass only
    from a client admitted by certificate. ``paths`` are the readings of the path. ``length`` is the body's length in
    octets, 0 where there is none or it is chunked; ``has_length`` tells whether a length was given.
    """

    __slots__ = (
        "chunked", "connection", "expects", "forwarded_for", "forwarded_host", "forwarded_proto", "from_admitted",
        "has_length", "host", "http11", "keep_alive", "length", "lines", "method", "paths", "request_id", "target",
        "via",
    )  # fmt: skip
    paths: tuple[str, ...]

    def __init__(self, method: bytes, target: bytes, http11: bool) -> None:
        self.method = method
        self.target = target
        self.http11 = self.keep_alive = http11
        self.lines: list[bytes] = []
        self.from_admitted: list[bytes] | None = None
        self.host: bytes | None = None
        self.length = 0
        self.has_length = self.chunked = self.expects = False
        self.connection = self.forwarded_for = self.forwarded_proto = self.forwarded_host = self.via = b""
        self.request_id: bytes | None = None

    def take(self, field: Field, value: bytes) -> None:
        """Take a field that is more than passed on or dropped; the common ones first."""
        if field is _HOST:
            if self.host is not None:
                raise _Fault("the Host field is repeated")
            self.host = value
        elif field is _CONNECTION:
            self.connection = _append(self.connection, value.lower())
        elif field is _FORWARDED_FOR:
            self.forwarded_for = _append(self.forwarded_for, value)
        elif field is _VIA:
            self.via = _append(self.via, value)
        else:
            self._take_rarer(field, value)

    def pass_on(self, field: Field, line: bytes) -> None:
        """Take a field that is forwarded as it stands: always, or from an admitted client only."""
        if field is _FORWARD:
            self.lines.append(line)
        elif self.from_admitted is None:
            self.from_admitted = [line]
        else:
            self.from_admitted.append(line)

    def _take_framing(self, field: Field, value: bytes) -> None:
        """Take the body's length, which may be given once (RFC 9112, section 6.3)."""
        if self.has_length or self.chunked:
            raise _Fault("the body's length is given more than once")
        if field is Field.CONTENT_LENGTH:
            self.has_length = True
            self.length = int(value)
        elif value.lower() != b"chunked":
            raise _Fault(f"transfer coding {_quoted(value)}; only chunked is known")
        elif not self.http11:
            raise _Fault("a chunked body in HTTP/1.0")
        else:
            self.chunked = True

    def _take_rarer(self, field: Field, value: bytes) -> None:
        match field:
            case Field.CONTENT_LENGTH | Field.TRANSFER_ENCODING:
                self._take_framing(field, value)
            case Field.FORWARDED_PROTO:
                self.forwarded_proto = _append(self.forwarded_proto, value)
            case Field.FORWARDED_HOST:
                self.forwarded_host = _append(self.forwarded_host, value)
            case Field.REQUEST_ID:
                self.request_id = value if self.request_id is None and _REQUEST_ID.fullmatch(value) else b""
            case Field.EXPECT:
                if value.lower() != b"100-continue":
                    raise _Fault(f"expectation {_quoted(value)}; only 100-continue is known")
                self.expects = True
            case _:
                raise AssertionError(f"unsorted field {field!r}")


class _Fault(Exception):  # noqa: N818 - it never leaves this file
    """A head that is well-formed, and refused all the same."""


class Nobody:
    """Listens to no callback of the parser: its verdict is what is wanted."""


NOBODY: Final = Nobody()


def read_head(raw: bytes, max_fields: int) -> RequestHead | Refused:
    """Read one head, from its request line to its empty line, both included.

    Returns the refusal (``bad-request``, ``ambiguous-path``, ``head-too-large``) where it is not one that every
    server reads alike.
    """
    head = read_known(raw, max_fields)
    return read_any(raw, max_fields) if head is None else head


def read_known(raw: bytes, max_fields: int) -> RequestHead | None:
    """Read octets that are one head of known lines, and nothing else; None where they are not, or not a good one."""
    try:
        return _read_lines(raw, max_fields)
    except _Fault:
        return None  # its form comes first


def _read_lines(raw: bytes, max_fields: int) -> RequestHead | None:
    lines = raw.split(b"\r\n")
    # Besides the request line, and the two empty strings behind the last field; more of them are no known lines.
    if not 0 <= len(lines) - 3 <= max_fields or lines[-1] or lines[-2]:
        return None
    start = known_start(lines[0])
    if start is None:
        return None
    head = RequestHead(start.method, start.target, start.http11)
    head.paths = start.paths
    forwarded = head.lines
    for line in lines[1:-2]:
        known = known_line(line)
        if known is None:
            return None
        field = known.field
        if field is _FORWARD:
            forwarded.append(line)
        elif field is _FROM_ADMITTED:
            head.pass_on(field, line)
        elif field is not _DROP:
            head.take(field, known.value)
    _conclude(head)
    return head


def read_any(raw: bytes, max_fields: int) -> RequestHead | Refused:
    """Read one head as ``read_head`` does, whether its lines are known or not."""
    # llhttp proves that this is a request line and field lines, each ended by CRLF, names of token characters, values
    # without control characters, nothing folded. From here on, splitting is parsing.
    try:
        _Parser(NOBODY).feed_data(raw)
    except httptools.HttpParserUpgrade:  # which is dropped like every hop-by-hop field; the head itself is complete
        if raw.startswith(b"CONNECT"):
            return Refused(Reason.BAD_REQUEST, "CONNECT, which only a forward proxy answers")
    except httptools.HttpParserError as fault:
        return Refused(Reason.BAD_REQUEST, f"not HTTP/1.1: {fault}")
    lines = raw.split(b"\r\n")
    if len(lines) - 3 > max_fields:  # besides the request line, and the two empty strings behind the last field
        return Refused(Reason.HEAD_TOO_LARGE, f"more than {max_fields} fields")
    request_line = lines[0].split(b" ")
    if len(request_line) != _REQUEST_LINE_PARTS or request_line[2] not in _VERSIONS or raw[0] < _FIRST_LETTER:
        return Refused(Reason.BAD_REQUEST, f"the request line {_quoted(lines[0])} is not one of HTTP/1.1 or 1.0")
    head = RequestHead(request_line[0], request_line[1], request_line[2] == b"HTTP/1.1")
    try:
        for line in lines[1:-2]:
            _sort(head, line)
        _conclude(head)
        return _read_target(head) or head
    except _Fault as fault:
        return Refused(Reason.BAD_REQUEST, str(fault))


def _sort(head: RequestHead, line: bytes) -> None:
    """Sort a field line that llhttp has seen."""
    name, _, value = line.partition(b":")
    value = value.strip(b" \t")
    field = field_of(name)
    if field is _FORWARD or field is _FROM_ADMITTED:
        head.pass_on(field, name + b": " + value)
    elif field is not _DROP:
        head.take(field, value)


def _conclude(head: RequestHead) -> None:
    """Draw from all fields together what they say."""
    if not head.host:
        raise _Fault("there is no Host field, or an empty one")
    options = head.connection
    if options == b"keep-alive":
        head.keep_alive = True
    elif options:
        _read_connection(head, options)


def _read_connection(head: RequestHead, value: bytes) -> None:
    """Take the options of Connection (RFC 9110, section 7.6.1), and drop the fields that they name.

    Persistence is RFC 9112, section 9.3. ``value`` is in lower case.
    """
    options = frozenset(token.strip(b" \t") for token in value.split(b","))  # members may be empty (5.6.1)
    if any(map(_NO_TOKEN.search, options)):
        raise _Fault(f"the Connection field {_quoted(value)} is not a list of names")
    head.lines = drop_named(head.lines, options)
    head.from_admitted = drop_named(head.from_admitted or [], options)
    head.keep_alive = b"close" not in options and (head.keep_alive or b"keep-alive" in options)


def drop_named(lines: list[bytes], names: AbstractSet[bytes]) -> list[bytes]:
    """Return field lines without the fields of these lower-case names."""
    return [line for line in lines if line.partition(b":")[0].lower() not in names]


def _read_target(head: RequestHead) -> Refused | None:
    """Bring the target into origin-form (RFC 9112, section 3.2) and find every reading of its path."""
    if not head.target.startswith(b"/"):
        head.target = _origin_form(head, head.target)
    if b"#" in head.target:
        raise _Fault("a fragment in the request target")
    paths = readings(head.target.partition(b"?")[0])
    if isinstance(paths, Refused):
        return paths
    head.paths = paths
    return None


def _origin_form(head: RequestHead, target: bytes) -> bytes:
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise _Fault(f"request target {_quoted(target)}; a path or an http(s) URL is expected")
    if match[1].lower() != (head.host or b"").lower():
        raise _Fault(f"the request target names {_quoted(match[1])}, the Host field {_quoted(head.host or b'')}")
    rest = match[2] or b"/"
    return rest if rest.startswith(b"/") else b"/" + rest


def _append(first: bytes, second: bytes) -> bytes:
    return first + b", " + second if first and second else first or second
