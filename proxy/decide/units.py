"""Units: durations, sizes and times as people write them in the configuration, such as ``90d`` and ``32KiB``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OCTETS: Final[Mapping[str, int]] = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

MAX_DIGITS: Final = 12
"""Of one number: enough for thirty thousand years in seconds, and far below where a float stops being exact."""

_INSTANT: Final = re.compile(r"(2[0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)"
                             r"(Z|[+-][0-9]{2}:[0-9]{2})?")  # fmt: skip
_QUANTITY: Final = re.compile(rf"([0-9]{{1,{MAX_DIGITS}}}) ?([A-Za-z]{{1,3}})")


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` names: a whole number and one of s, m, h, d, such as ``15s`` or ``90d``.

    Raises ValueError, with the expected form, for anything else; a number without a unit is an error.
    """
    return float(_parse(text, SECONDS, "a duration such as 15s, 30m, 12h or 90d"))


def parse_size(text: str) -> int:
    """Return the octets that ``text`` names: a whole number and one of B, KiB, MiB, GiB, such as ``32KiB``.

    Raises ValueError, with the expected form, for anything else; a number without a unit is an error.
    """
    return _parse(text, OCTETS, "a size such as 512B, 32KiB, 10MiB or 1GiB")


def parse_instant(text: object) -> float:
    """Return the Unix time in seconds of a time with its zone (RFC 3339), such as ``2027-01-01T00:00:00Z``.

    Raises ValueError for anything else: two people read a time without a zone differently.
    """
    match = _INSTANT.fullmatch(text) if isinstance(text, str) else None
    if match is not None and match[2] is None:
        raise ValueError(f"{text!a} has no time zone; add Z for UTC, or an offset such as +01:00")
    try:
        if match is not None:
            return datetime.fromisoformat(match[0]).timestamp()
    except ValueError as fault:
        raise ValueError(f"{text!a}: {fault}") from fault
    raise ValueError(f"{text!a} is not a time such as 2027-01-01T00:00:00Z")


def _parse(text: object, units: Mapping[str, int], expected: str) -> int:
    """Take any object: YAML makes a number of ``30``, and its author deserves the same sentence."""
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"{text!a} is not {expected}")
    return int(match[1]) * units[match[2]]
