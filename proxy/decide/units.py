"""Units: durations and sizes as people write them in the configuration, such as ``90d`` and ``32KiB``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OCTETS: Final[Mapping[str, int]] = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

MAX_DIGITS: Final = 12
"""Of one number: enough for thirty thousand years in seconds, and far below where a float stops being exact."""

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


def _parse(text: object, units: Mapping[str, int], expected: str) -> int:
    """Take any object: YAML makes a number of ``30``, and its author deserves the same sentence."""
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"{text!a} is not {expected}")
    return int(match[1]) * units[match[2]]
