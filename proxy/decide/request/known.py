"""What is remembered of request heads, so that most of a head needs no parser.

Clients repeat nearly all of their lines. A line that was met before is looked up whole; one that is new, under a name
that was met before, only needs a look at its value. What these functions return, llhttp would take as well: where
there is any doubt they return None, and it is llhttp's turn. The memory is bounded, whatever strangers send.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.decide.request.fields import Field, sort_field

MAX_KNOWN_NAMES: Final = 2_000
"""Spellings of field names that are remembered; clients that invent more pay for sorting them each time."""

MAX_KNOWN_NAME: Final = 64
"""Octets of a name that is remembered, so that strangers cannot fill the memory with long ones."""

MAX_KNOWN_LINE: Final = 128
"""Octets of a line that is remembered: Accept fields and user agents are, cookies are not."""

MAX_LINES_OF_NAME: Final = 8
"""Field lines that are remembered of one name: those of the few CDNs and services in front, and what varies soon
has used up its share, so that the memory of all is bounded by MAX_KNOWN_NAMES * 8 * 128 octets, 2 MB."""

MAX_KNOWN_STARTS: Final = 16_000
"""Request lines that are remembered, enough for thousands of tenants' most wanted pages; when there are more, of which
most will not come again, it begins anew. With the longest of lines that is 12 MB, with usual ones 6."""

_BLANK: Final = 0x20
_MAX_DIGITS: Final = 15
_PRINTABLE: Final = bytes(octet if 0x20 <= octet < 0x7F else octet ^ 0x80 for octet in range(256))  # noqa: PLR2004 - ASCII
"""Changes what is not printable ASCII: the fastest way to see whether any of it is there."""

_PLAIN_START: Final = re.compile(
    rb"(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) "
    rb"((?=/)((?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)*/?)(?:\?[!\"$-~]*)?) HTTP/1\.([01])"
).fullmatch
"""A request line with a path that has one reading only, of characters that every app reads alike; its group 3."""

# Reading a member off an enumeration is slow enough to show in a profile of requests.
_FORWARD: Final = Field.FORWARD
_DROP: Final = Field.DROP
_FROM_ADMITTED: Final = Field.FROM_ADMITTED
_CONNECTION: Final = Field.CONNECTION
_CONTENT_LENGTH: Final = Field.CONTENT_LENGTH
_TRANSFER_ENCODING: Final = Field.TRANSFER_ENCODING


class Start:
    """A request line, and the one reading of its path."""

    __slots__ = ("http11", "method", "paths", "target")

    def __init__(self, method: bytes, target: bytes, http11: bool, paths: tuple[str, ...]) -> None:
        self.method = method
        self.target = target
        self.http11 = http11
        self.paths = paths


class Line:
    """What becomes of a field line, and its value (in lower case for Connection) where it is not just passed on."""

    __slots__ = ("field", "value")

    def __init__(self, field: Field, value: bytes) -> None:
        self.field = field
        self.value = value


class _Name:
    """What becomes of a field, and how many more of its lines there is room for."""

    __slots__ = ("field", "passed_on", "room")

    def __init__(self, field: Field) -> None:
        self.field = field
        self.room = MAX_LINES_OF_NAME
        self.passed_on = Line(field, b"") if field in (Field.FORWARD, Field.DROP, Field.FROM_ADMITTED) else None


_starts: Final[dict[bytes, Start]] = {}
_lines: Final[dict[bytes, Line]] = {}
_names: Final[dict[bytes, _Name]] = {}


def known_start(line: bytes) -> Start | None:
    """Return what a request line says, or None where it takes a closer look."""
    known = _starts.get(line)
    return _read_start(line) if known is None else known


def _read_start(line: bytes) -> Start | None:
    match = _PLAIN_START(line)
    if match is None:
        return None
    start = Start(match[1], match[2], match[4] == b"1", (match[3].decode(),))
    if len(line) <= MAX_KNOWN_LINE:
        if len(_starts) >= MAX_KNOWN_STARTS:
            _starts.clear()
        _starts[line] = start
    return start


def known_line(line: bytes) -> Line | None:
    """Return what becomes of a field line, or None where it takes a closer look; ``line`` is without its end."""
    known = _lines.get(line)
    return _read_line(line) if known is None else known


def _read_line(line: bytes) -> Line | None:
    name, _, value = line.partition(b": ")
    known = _names.get(name)
    if known is None or not _is_plain(value):
        return None
    read = known.passed_on
    if read is None:
        field = known.field
        if field is _TRANSFER_ENCODING:
            return None
        if field is _CONTENT_LENGTH and not (value.isdigit() and len(value) <= _MAX_DIGITS):
            return None
        read = Line(field, value.lower() if field is _CONNECTION else value)
    if known.room and len(line) <= MAX_KNOWN_LINE:
        known.room -= 1
        _lines[line] = read
    return read


def _is_plain(value: bytes) -> bool:
    """Tell whether a value is of printable ASCII, with no white space to be trimmed."""
    if not value or value[0] == _BLANK or value[-1] == _BLANK:
        return False
    return value.translate(_PRINTABLE) == value


def field_of(name: bytes) -> Field:
    """Say what becomes of a field whose name llhttp has seen, and remember it."""
    known = _names.get(name)
    if known is not None:
        return known.field
    field = sort_field(name)
    if len(_names) < MAX_KNOWN_NAMES and len(name) <= MAX_KNOWN_NAME:
        _names[name] = _Name(field)
    return field
