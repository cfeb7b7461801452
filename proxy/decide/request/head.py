"""Request heads: read strictly, sorted once (RFC 9112).

llhttp refuses what is malformed; what is only ambiguous is refused here. Fields are sorted as they are read into what
is forwarded, what is dropped, and what the proxy itself has to know, so that nothing is looked for twice.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from enum import IntEnum
from functools import partial
from typing import Final

import httptools

from proxy.decide.request.path import readings
from proxy.decide.request.stamp import Passage, fold, passage
from proxy.decide.text import quoted
from proxy.decide.verdict import Reason, Refused

MAX_REQUEST_ID: Final = 128
"""Octets of an X-Request-Id that is taken over; a longer one is no identifier and gets replaced."""

MAX_KNOWN_NAMES: Final = 2_000
"""Spellings of field names that are remembered; clients that invent more pay for sorting them each time."""

MAX_KNOWN_NAME: Final = 64
"""Octets of a name that is remembered, so that strangers cannot fill the memory with long ones."""

MAX_KNOWN_LINE: Final = 128
"""Octets of a field line that is remembered: Accept fields and user agents are, cookies are not."""

MAX_LINES_OF_NAME: Final = 8
"""Field lines that are remembered of one name: those of the few CDNs and services in front, and what varies soon
has used up its share, so that the memory of all is bounded by MAX_KNOWN_NAMES * 8 * 128 octets, 2 MB."""

MAX_QUOTED: Final = 100
"""Octets of a value that a refusal quotes: enough to recognise it."""

_quoted: Final = partial(quoted, limit=MAX_QUOTED)
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,%d}" % MAX_REQUEST_ID)
_NO_TOKEN: Final = re.compile(rb"[^!#$%&'*+.^_`|~0-9A-Za-z-]")
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
    FORWARD_OFTEN = 13
    """Forwarded, and its lines are remembered."""


# Reading a member off an enumeration is slow enough to show in a profile of requests.
_FORWARD: Final = Field.FORWARD
_FORWARD_OFTEN: Final = Field.FORWARD_OFTEN
_DROP: Final = Field.DROP
_HOST: Final = Field.HOST
_CONNECTION: Final = Field.CONNECTION
_FORWARDED_FOR: Final = Field.FORWARDED_FOR
_VIA: Final = Field.VIA
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
    # No field of HTTP, but what CGI makes the environment's HTTP_PROXY of, which many HTTP clients obey ("httpoxy")
    b"proxy": Field.DROP,
}
_BY_PASSAGE: Final = {
    Passage.FORWARD: Field.FORWARD,
    Passage.STRIP: Field.DROP,
    Passage.ADMITTED: Field.FROM_ADMITTED,
}
_REQUEST_LINE_PARTS: Final = 3
_TAB: Final = 9
_FIRST_LETTER: Final = ord("A")  # llhttp passes over line ends in front of a method
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0")
_PLAIN_TARGET: Final = re.compile(
    rb"((?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)*/?)(?:\?[!\"$-~]*)?"
).fullmatch
"""A target whose path has one reading only, and is of the characters that every app reads alike; its group 1."""

_Parser: Final = httptools.HttpRequestParser
_known: Final[dict[bytes, Field]] = {}
_lines: Final[set[bytes]] = set()
"""Field lines that llhttp has seen, and that are forwarded as they stand: clients repeat most of theirs."""

_lines_of_name: Final[dict[bytes, int]] = {}
_NO_NAMES: Final[dict[bytes, Field]] = {}
_NO_LINES: Final[set[bytes]] = set()


def sort_field(name: bytes) -> Field:
    """Say what becomes of a field by its name, in any spelling.

    A look-alike (``X_Forwarded_For``, ``Content_Length``) of a field that the proxy sets or reads is dropped: many
    app servers take it for the real one.
    """
    field = _OWN.get(name.lower())
    if field is None:
        field = Field.DROP if fold(name) in _OWN else _BY_PASSAGE[passage(name)]
    if len(_known) < MAX_KNOWN_NAMES and len(name) <= MAX_KNOWN_NAME:
        _known[name] = Field.FORWARD_OFTEN if field is Field.FORWARD else field
    return field


def _remember(name: bytes, line: bytes) -> None:
    """Remember a line that is forwarded as it stands, while its name has room for more."""
    if len(line) <= MAX_KNOWN_LINE:
        _lines.add(line)
    count = _lines_of_name[name] = _lines_of_name.get(name, 0) + 1
    if count >= MAX_LINES_OF_NAME:
        _known[name] = Field.FORWARD


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

    def __init__(self, request_line: list[bytes]) -> None:
        self.method, self.target, version = request_line
        self.http11 = self.keep_alive = version == b"HTTP/1.1"
        self.lines: list[bytes] = []
        self.from_admitted: list[bytes] | None = None
        self.host: bytes | None = None
        self.length = 0
        self.has_length = self.chunked = self.expects = False
        self.connection = self.forwarded_for = self.forwarded_proto = self.forwarded_host = self.via = b""
        self.request_id: bytes | None = None

    def take(self, field: Field, name: bytes, value: bytes) -> None:
        """Take a field that is more than forwarded; the common ones first."""
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
            self._take_rarer(field, name, value)

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

    def _take_rarer(self, field: Field, name: bytes, value: bytes) -> None:
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
            case Field.FROM_ADMITTED:
                self.from_admitted = [*(self.from_admitted or ()), name + b": " + value]
            case _:
                raise AssertionError(f"unsorted field {field!r}")


class _Fault(Exception):  # noqa: N818 - it never leaves this file
    """A head that is well-formed, and refused all the same."""


class Nobody:
    """Listens to no callback of the parser: its verdict is what is wanted."""


NOBODY: Final = Nobody()


def read_head(raw: bytes, max_fields: int) -> RequestHead | Refused:  # noqa: PLR0911 - a refusal each
    """Read one head, from its request line to its empty line, both included.

    Returns the refusal (``bad-request``, ``ambiguous-path``, ``head-too-large``) where it is not one that every
    server reads alike.
    """
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
    head = RequestHead(request_line)
    # A field with no white space but the one blank behind its colon is forwarded as it stands: so it would be written.
    plain = _TAB not in raw and raw.find(b":  ") < 0 and raw.find(b" \r") < 0
    try:
        if plain:
            _sort(head, lines, _known, _lines)
        else:
            _sort(head, lines, _NO_NAMES, _NO_LINES)
        path = _PLAIN_TARGET(head.target)
        if path is None:
            return _read_target(head) or head
    except _Fault as fault:
        return Refused(Reason.BAD_REQUEST, str(fault))
    head.paths = (path[1].decode(),)
    return head


def _sort(  # noqa: C901 - one loop, a branch per kind of field
    head: RequestHead, lines: list[bytes], known: dict[bytes, Field], whole: set[bytes]
) -> None:
    """Sort field lines into ``head`` by what is ``known`` of their names, or of the ``whole`` line."""
    forwarded = head.lines
    for line in lines[1:-2]:
        if line in whole:
            forwarded.append(line)
            continue
        name, _, value = line.partition(b": ")
        field = known.get(name)
        if field is _FORWARD:
            forwarded.append(line)
        elif field is _HOST and head.host is None:
            head.host = value
        elif field is _CONNECTION and not head.connection:
            head.connection = value.lower()
        elif field is None:
            _sort_slowly(head, line)
        elif field is _FORWARD_OFTEN:
            forwarded.append(line)
            _remember(name, line)
        elif field is not _DROP:
            head.take(field, name, value)
    if not head.host:
        raise _Fault("there is no Host field, or an empty one")
    options = head.connection
    if options == b"keep-alive":
        head.keep_alive = True
    elif options:
        _read_connection(head, options)


def _sort_slowly(head: RequestHead, line: bytes) -> None:
    """Sort a field line of a name that was not met before, or with white space to be trimmed."""
    name, _, value = line.partition(b":")
    value = value.strip(b" \t")
    field = sort_field(name)
    if field is _FORWARD:
        head.lines.append(name + b": " + value)
    elif field is not _DROP:
        head.take(field, name, value)


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
