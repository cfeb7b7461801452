"""Pace: when a source is asked again.

Times are seconds. ``chance`` is a number from 0 up to 1, so that many sources, and many instances, spread their asking.
"""

from __future__ import annotations

from typing import Final

FIRST_RETRY: Final = 2.0
"""Seconds after the first failure: most are over by then."""

SHORTEST: Final = 1.0
"""Seconds between two questions, whatever a server or a configuration says."""

SPREAD: Final = 0.2
"""Of an interval, by which it is shortened at most."""

AHEAD: Final = 0.75
"""Of the time that is left until a CRL's nextUpdate: a quarter of it remains for attempts that fail."""


def after_success(refresh: float, left: float, chance: float) -> float:
    """Return how long to wait with a CRL that ends in ``left`` seconds (negative: it has ended)."""
    wait = min(refresh, left * AHEAD) if left > 0 else refresh
    return max(SHORTEST, wait * (1 - SPREAD * chance))


def after_failure(refresh: float, failures: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row: twice as long each time, up to ``refresh``."""
    doubled: float = FIRST_RETRY * 2 ** min(failures - 1, 16)
    return max(SHORTEST, min(refresh, doubled) * (1 - 0.5 * chance))
