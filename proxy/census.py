"""The census: whom open connections belong to is noted from time to time, for who is admitted once may stay for days.

An anchor that nobody has come by for a month may still carry a stream. No connection has a timer for this, and no
request costs anything: they are gone through a part at a time, between the loop's other callbacks.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.life import Life

EVERY: Final = 60.0
"""Seconds from one census to the next: what it is for is measured in days."""

PART: Final = 1_000
"""Connections at a time: a tenth of a millisecond."""


class Census:
    """Goes through the open connections."""

    def __init__(self) -> None:
        self._rest: list[Life] = []
        self._next = 0.0

    def tick(self, connections: Collection[Life], now: float) -> None:
        """Note that some of ``connections``, a set, are open at Unix time ``now``."""
        if not self._rest:
            if 0 < self._next - now <= EVERY:  # a clock that is set back is no reason to wait for it
                return
            self._rest = list(connections)
            self._next = now + EVERY
        part = self._rest[-PART:]
        del self._rest[-PART:]
        for connection in part:
            if connection in connections:
                connection.note_use(now)
