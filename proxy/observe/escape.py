r"""Escaping: hostile text made fit for a log line, a metric label and the terminal that shows them.

Whatever a reader could mistake for something else is written as Python writes it (``\n``, ``\x1b``, ``\u202e``):
control characters, format characters (the bidirectional overrides among them), line separators, private-use and
unassigned code points, and lone surrogates, which no UTF-8 encoder takes. Ordinary letters of any script stay as
they are. A backslash stays too: distinguished names are full of them, and an operator searches for what openssl prints.
The text is for reading; the evidence is the certificate's fingerprint beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

MAX_TEXT: Final = 1024
"""Characters of one string: a subject of a real client has 200, a stranger's certificate may hold 60,000."""

MAX_ITEMS: Final = 32
"""Entries of one list: lists hold names out of certificates, and a stranger chooses how many."""

MAX_DEPTH: Final = 4
"""Nesting of one field: a line holds a certificate in a handshake; what is deeper is a mistake and shown as text."""

ELLIPSIS: Final = "…"
_INT64: Final = range(-(2**63), 2**63)


def text(value: str | bytes, limit: int = MAX_TEXT) -> str:
    """Return ``value`` escaped and cut to ``limit`` characters; bytes are read as Latin-1.

    Escaping twice changes nothing.
    """
    value = value.decode("latin-1") if isinstance(value, bytes) else value
    if len(value) <= limit and value.isprintable():
        return value
    # Cut first, so that the work is bounded too; what is escaped may have grown and is cut again.
    escaped = "".join(map(_character, value[:limit]))
    if len(value) <= limit and len(escaped) <= limit:
        return escaped
    return escaped[: limit - 1] + ELLIPSIS


def _character(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


class Escaped(dict[str, object]):
    """Fields that have been through ``plain`` already, for those who show the same ones often."""

    __slots__ = ()


def escaped(fields: Mapping[str, object]) -> Escaped:
    """Escape fields once, to be written many times."""
    return Escaped((text(name), plain(value)) for name, value in fields.items() if value is not None)


def plain(value: object, depth: int = MAX_DEPTH) -> object:
    """Return ``value`` as JSON takes it, every string in it escaped; what JSON has no form for becomes its ``str``."""
    kind = type(value)
    if kind is str:
        return text(value)  # type: ignore[arg-type]  # the check above is the fast form of isinstance
    if value is None or kind is bool or kind is float or kind is Escaped:
        return value
    if kind is int and value in _INT64:
        return value
    if depth and isinstance(value, Mapping):
        return {text(str(key)): plain(item, depth - 1) for key, item in value.items() if item is not None}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return _items(value, depth - 1)
    return text(value if isinstance(value, bytes) else str(value))


def _items(values: Iterable[object], depth: int) -> list[object]:
    values = list(values)
    if len(values) <= MAX_ITEMS:
        return [plain(value, depth) for value in values]
    shown = [plain(value, depth) for value in values[: MAX_ITEMS - 1]]
    return [*shown, f"{ELLIPSIS} and {len(values) - len(shown)} more"]
