"""Breaker: a server that does not answer is left alone, and tried now and then, so that its time-out is paid once.

It is pure: times are any one clock's seconds, and come in as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

MAX_FAILURES: Final = 3
"""Quick failures in a row, without an answer in between, until a server is left alone: one may be chance."""

FIRST_WAIT: Final = 1.0
"""Seconds until the first probe: a restart takes about as long."""

MAX_WAIT: Final = 30.0
"""Seconds between two probes at most: how much later than its recovery a server may be believed again."""


@dataclass(slots=True)
class Breaker:
    """Whether a server is asked. ``probe_at`` is when it is tried again, None while it is asked as usual."""

    probe_at: float | None = None
    failures: int = 0
    _wait: float = FIRST_WAIT
    _answered_at: float = -inf

    @property
    def is_open(self) -> bool:
        """Tell whether the server is left alone."""
        return self.probe_at is not None

    def answered(self, now: float) -> bool:
        """Note an answer, whatever it says; tell whether the server was left alone until now."""
        was_open = self.is_open
        self.probe_at, self.failures, self._wait, self._answered_at = None, 0, FIRST_WAIT, now
        return was_open

    def failed(self, started: float, now: float, *, slow: bool) -> bool:
        """Note a failure of what ``started`` then; tell whether the server is left alone from now on.

        A ``slow`` one suffices, unless others were answered while it waited: each more costs somebody as long.
        """
        self.failures += 1
        if self.is_open or started < self._answered_at:
            return False
        if not slow and self.failures < MAX_FAILURES:
            return False
        self.probe_at = now + self._wait
        return True

    def probe_failed(self, now: float) -> None:
        """Note that a probe brought no answer; the next one waits twice as long."""
        self.failures += 1
        self._wait = min(2 * self._wait, MAX_WAIT)
        self.probe_at = now + self._wait
