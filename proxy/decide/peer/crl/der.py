"""DER: the few steps that a walk over a long list takes; every length is checked against what is there."""

from __future__ import annotations

from calendar import timegm
from typing import Final

SEQUENCE: Final = 0x30
INTEGER: Final = 0x02
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
CONTEXT_0: Final = 0xA0

_LONG: Final = 0x80
MAX_LENGTH_OCTETS: Final = 4
"""Of a length: 4 GiB, above every limit on files."""

_LAST_CENTURY: Final = 50
"""RFC 5280, section 4.1.2.5.1: two-digit years from here on are of the 1900s."""


class DerError(ValueError):
    """Octets that are not the DER that was expected; the message says where."""


def span(data: bytes, at: int, end: int, tag: int | None = None) -> tuple[int, int]:
    """Return where the contents of the value at ``at`` start and end; it lies before ``end``.

    Raises DerError for another tag than ``tag``, and for a length that does not fit or is not in its shortest form.
    """
    if at + 2 > end or (tag is not None and data[at] != tag):
        raise DerError(f"unexpected value at octet {at}")
    length, start = data[at + 1], at + 2
    if length >= _LONG:
        octets = length - _LONG
        start += octets
        if not 1 <= octets <= MAX_LENGTH_OCTETS or start > end:
            raise DerError(f"bad length at octet {at}")
        length = int.from_bytes(data[at + 2 : start], "big")
        if length < _LONG or data[at + 2] == 0:
            raise DerError(f"a length at octet {at} is not in its shortest form")
    if start + length > end:
        raise DerError(f"the value at octet {at} is cut off")
    return start, start + length


def time_of(value: bytes) -> float:
    """Return the Unix time in seconds of a UTCTime or GeneralizedTime with its tag, in RFC 5280's form (ends in Z)."""
    text = value[2:-1]
    forms = {(UTC_TIME, 12): 2, (GENERALIZED_TIME, 14): 4}
    year_digits = forms.get((value[0], len(text)))
    if year_digits is None or not text.isdigit() or value[-1:] != b"Z" or value[1] != len(text) + 1:
        raise DerError("a time is not in the form of RFC 5280")
    year = int(text[:year_digits])
    if year_digits == 2:  # noqa: PLR2004 - as above
        year += 1900 if year >= _LAST_CENTURY else 2000
    rest = text[year_digits:]
    month, day, hour, minute, second = (int(rest[i : i + 2]) for i in range(0, 10, 2))
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):  # noqa: PLR2004
        raise DerError("a time does not exist")
    return float(timegm((year, month, day, hour, minute, second, 0, 0, 0)))
