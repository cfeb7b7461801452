"""Request heads: read strictly, sorted once (RFC 9112).

llhttp refuses what is malformed; what is only ambiguous is refused here. Fields are sorted as they are read into what
is forwarded, what is dropped, and what the proxy itself has to know, so that nothing is looked for twice.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

import httptools

from proxy.decide.request.path import readings
from proxy.decide.request.stamp import Passage, fold, passage
from proxy.decide.verdict import Reason, Refused

MAX_REQUEST_ID: Final = 128
"""Octets of an X-Request-Id that is taken over; a longer one is no identifier and gets replaced."""

MAX_KNOWN_NAMES: Final = 2_000
"""Spellings of field names that are remembered; clients that invent more pay for sorting them each time."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,%d}" % MAX_REQUEST_ID)
_TOKEN_LIST: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#@\\]+)(/[^#]*|\?[^#]*)?")


class Field(IntEnum):
    """What becomes of a request's field."""

    FORWARD = 0
    DROP = 1
    FROM_ADMITTED = 2
    HOST = 3
    CONTENT_LENGTH = 4
    TRANSFER_ENCODING = 5
    CONNECTION = 6
    FORWARDED_FOR = 7
    FORWARDED_PROTO = 8
    FORWARDED_HOST = 9
    REQUEST_ID = 10
    EXPECT = 11
    VIA = 12


_FORWARD: Final = Field.FORWARD
_DROP: Final = Field.DROP
_OWN: Final = {
    b"host": Field.HOST,
    b"content-length": Field.CONTENT_LENGTH,
    b"transfer-encoding": Field.TRANSFER_ENCODING,
    b"connection": Field.CONNECTION,
    b"x-forwarded-for": Field.FORWARDED_FOR,
    b"x-forwarded-proto": Field.FORWARDED_PROTO,
    b"x-forwarded-host": Field.FORWARDED_HOST,
    b"x-request-id": Field.REQUEST_ID,
    b"expect": Field.EXPECT,
    b"via": Field.VIA,
    # Hop-by-hop (RFC 9110, section 7.6.1), and what only makes sense together with them
    b"keep-alive": Field.DROP,
    b"proxy-connection": Field.DROP,
    b"proxy-authenticate": Field.DROP,
    b"proxy-authorization": Field.DROP,
    b"te": Field.DROP,
    b"trailer": Field.DROP,
    b"upgrade": Field.DROP,
    b"http2-settings": Field.DROP,
}
_BY_PASSAGE: Final = {
    Passage.FORWARD: Field.FORWARD,
    Passage.STRIP: Field.DROP,
    Passage.ADMITTED: Field.FROM_ADMITTED,
}
_known: dict[bytes, Field] = {}


def sort_field(name: bytes) -> Field:
    """Say what becomes of a field by its name, in any spelling.

    A look-alike (``X_Forwarded_For``, ``Content_Length``) of a field that the proxy sets or reads is dropped: many
    app servers take it for the real one.
    """
    field = _OWN.get(name.lower())
    if field is None:
        field = Field.DROP if fold(name) in _OWN else _BY_PASSAGE[passage(name)]
    if len(_known) < MAX_KNOWN_NAMES:
        _known[name] = field
    return field


class RequestHead:
    """A request's head, sorted.

    ``lines`` holds the forwarded fields flat (name, colon, value, line end, name, …), ``from_admitted`` those that
    pass only from a client admitted by certificate. ``paths`` are the readings of the path. ``length`` is the body's
    length in octets, or None where it is chunked. ``options`` are the fields that Connection names.
    """

    __slots__ = (
        "chunked", "connection", "expects", "forwarded_for", "forwarded_host", "forwarded_proto", "from_admitted",
        "host", "keep_alive", "length", "lines", "method", "options", "own_lengths", "paths", "request_id", "target",
        "url", "version", "via",
    )  # fmt: skip
    method: bytes
    version: str
    keep_alive: bool
    target: bytes
    paths: tuple[str, ...]

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.from_admitted: list[bytes] = []
        self.url = b""
        self.host: bytes | None = None
        self.length = 0
        self.own_lengths = 0
        self.chunked = False
        self.connection: bytes | None = None
        self.options: frozenset[bytes] = frozenset()
        self.forwarded_for = b""
        self.forwarded_proto = b""
        self.forwarded_host = b""
        self.request_id: bytes | None = None
        self.expects = False
        self.via = b""

    def on_url(self, url: bytes) -> None:
        """Take the request target from the parser."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field from the parser."""
        field = _known.get(name)
        if field is None:
            field = sort_field(name)
        if field is _FORWARD:
            self.lines += (name, b": ", value, b"\r\n")
        elif field is not _DROP:
            self._take(field, name, value.rstrip(b" \t"))

    def _take(self, field: Field, name: bytes, value: bytes) -> None:
        match field:
            case Field.HOST:
                if self.host is not None:
                    raise _Fault("the Host field is repeated")
                self.host = value
            case Field.CONTENT_LENGTH:
                self.length = int(value)
                self.own_lengths += 1
            case Field.TRANSFER_ENCODING:
                if value.lower() != b"chunked":
                    raise _Fault(f"transfer coding {_show(value)}; only chunked is known")
                self.chunked = True
                self.own_lengths += 1
            case Field.CONNECTION:
                self.connection = _append(self.connection or b"", value)
            case Field.FORWARDED_FOR:
                self.forwarded_for = _append(self.forwarded_for, value)
            case Field.FORWARDED_PROTO:
                self.forwarded_proto = _append(self.forwarded_proto, value)
            case Field.FORWARDED_HOST:
                self.forwarded_host = _append(self.forwarded_host, value)
            case _:
                self._take_rarer(field, name, value)

    def _take_rarer(self, field: Field, name: bytes, value: bytes) -> None:
        match field:
            case Field.REQUEST_ID:
                self.request_id = value if self.request_id is None and _REQUEST_ID.fullmatch(value) else b""
            case Field.EXPECT:
                if value.lower() != b"100-continue":
                    raise _Fault(f"expectation {_show(value)}; only 100-continue is known")
                self.expects = True
            case Field.VIA:
                self.via = _append(self.via, value)
            case Field.FROM_ADMITTED:
                self.from_admitted += (name, b": ", value, b"\r\n")
            case _:
                raise AssertionError(f"unsorted field {field!r}")


class _Fault(Exception):  # noqa: N818 - it never leaves this file
    """A head that is well-formed, and refused all the same."""


def read_head(raw: bytes, max_fields: int) -> RequestHead | Refused:
    """Read one head, from its request line to its empty line, both included.

    Returns the refusal (``bad-request``, ``ambiguous-path``, ``head-too-large``) where it is not one that every
    server reads alike.
    """
    if raw.count(b"\n") - 2 > max_fields:
        return Refused(Reason.HEAD_TOO_LARGE, f"more than {max_fields} fields")
    head = RequestHead()
    parser = httptools.HttpRequestParser(head)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # Upgrade is dropped like every hop-by-hop field; the head itself is complete
    except httptools.HttpParserError as fault:
        return Refused(Reason.BAD_REQUEST, _cause(fault))
    head.method = parser.get_method()
    head.version = parser.get_http_version()
    try:
        _check_framing(head, raw)
        return _check_target(head) or head
    except _Fault as fault:
        return Refused(Reason.BAD_REQUEST, str(fault))


def _cause(fault: Exception) -> str:
    """Say what the parser refused: its own words, or those of the fault that a callback met."""
    inner = fault.__context__
    return str(inner) if isinstance(inner, _Fault) else f"not HTTP/1.1: {fault}"


def _check_framing(head: RequestHead, raw: bytes) -> None:
    version = head.version
    if version not in ("1.1", "1.0"):
        raise _Fault(f"HTTP version {version}")
    if not raw.startswith(b"%b %b HTTP/" % (head.method, head.url)):
        raise _Fault("the request line is not separated by single spaces")
    if not head.host:
        raise _Fault("there is no Host field, or an empty one")
    if head.own_lengths > 1:
        raise _Fault("the body's length is given more than once")
    if head.chunked and version == "1.0":
        raise _Fault("a chunked body in HTTP/1.0")
    head.keep_alive = version == "1.1"
    if head.connection is not None:
        _read_connection(head, head.connection)


def _read_connection(head: RequestHead, value: bytes) -> None:
    """Take the options of Connection (RFC 9110, section 7.6.1), and drop the fields that they name.

    Persistence is RFC 9112, section 9.3. (llhttp forgets these options as soon as the message is complete.)
    """
    value = value.lower()
    if value in (b"close", b"keep-alive", b""):
        head.keep_alive = value == b"keep-alive" or (head.keep_alive and not value)
        return
    if _TOKEN_LIST.fullmatch(value) is None:
        raise _Fault(f"the Connection field {_show(value)} is not a list of names")
    head.options = frozenset(token.strip(b" \t") for token in value.split(b","))
    head.lines = drop_named(head.lines, head.options)
    head.from_admitted = drop_named(head.from_admitted, head.options)
    head.keep_alive = b"close" not in head.options and (head.keep_alive or b"keep-alive" in head.options)


def drop_named(lines: list[bytes], names: frozenset[bytes]) -> list[bytes]:
    """Return flat field lines without the fields of these lower-case names."""
    kept: list[bytes] = []
    for start in range(0, len(lines), 4):
        if lines[start].lower() not in names:
            kept += lines[start : start + 4]
    return kept


def _check_target(head: RequestHead) -> Refused | None:
    """Bring the target into origin-form (RFC 9112, section 3.2) and read its path."""
    target = head.url
    if head.method == b"CONNECT":
        raise _Fault("CONNECT, which only a forward proxy answers")
    if not target.startswith(b"/"):
        target = _origin_form(head, target)
    if b"#" in target:
        raise _Fault("a fragment in the request target")
    head.target = target
    paths = readings(target.partition(b"?")[0])
    if isinstance(paths, Refused):
        return paths
    head.paths = paths
    return None


def _origin_form(head: RequestHead, target: bytes) -> bytes:
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise _Fault(f"request target {_show(target)}; a path or an http(s) URL is expected")
    if match[1].lower() != (head.host or b"").lower():
        raise _Fault(f"the request target names {_show(match[1])}, the Host field {_show(head.host or b'')}")
    rest = match[2] or b"/"
    return rest if rest.startswith(b"/") else b"/" + rest


def _append(first: bytes, second: bytes) -> bytes:
    return first + b", " + second if first and second else first or second


def _show(value: bytes) -> str:
    return ascii(value[:100].decode("latin-1"))
