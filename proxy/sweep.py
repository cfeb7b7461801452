"""Sweeps: open connections are judged again, a few at a time, when something has changed that verdicts rest on.

No connection has a timer or a task for this. A sweep is a list that is worked off between the loop's other callbacks,
and connections whose verdicts end at the same time share a place in one heap: idle ones cost nothing until then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.tenure import Tenure

SLICE: Final = 0.004
"""Seconds of judging before the loop gets its turn: with the one judgement that goes beyond, less than 5 ms."""

SLACK: Final = 64
"""Times without connections that the heap may hold beside as many again, before it is made anew."""


class Ends:
    """Connections by the Unix time at which their verdict ends."""

    def __init__(self) -> None:
        self._at: dict[float, set[Tenure]] = {}
        self._heap: list[float] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, connection: Tenure, until: float) -> None:
        """Note an end."""
        known = self._at.get(until)
        if known is None:
            self._at[until] = {connection}
            heappush(self._heap, until)
        else:
            known.add(connection)

    def discard(self, connection: Tenure, until: float) -> None:
        """Forget an end; harmless where it is not known."""
        known = self._at.get(until)
        if known is not None:
            known.discard(connection)
            if not known:
                del self._at[until]
                self._shrink()

    def due(self, now: float) -> list[Tenure]:
        """Take out those whose end has come."""
        found: list[Tenure] = []
        while self._heap and self._heap[0] <= now:
            found.extend(self._at.pop(heappop(self._heap), ()))
        return found

    def _shrink(self) -> None:
        """Make the heap anew once most of its times have no connection any more."""
        if len(self._heap) > 2 * len(self._at) + SLACK:
            self._heap = list(self._at)
            heapify(self._heap)


class Sweep:
    """Judges connections again, those that are told to it and those whose verdict ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop, judge: Callable[[Tenure], None]) -> None:
        self._loop = loop
        self._judge = judge
        self._ends = Ends()
        self._waiting: deque[Tenure] = deque()
        self._next: asyncio.Handle | None = None

    def begin(self, connections: Iterable[Tenure]) -> None:
        """Judge all of ``connections`` again; a sweep of all that is under way has become pointless."""
        self._waiting = deque(connections)
        self._schedule()

    def watch(self, connection: Tenure, until: float) -> None:
        """Judge a connection again at Unix time ``until``, and not before for this reason."""
        if connection.until != until:
            self._ends.discard(connection, connection.until)
            connection.until = until
            if until < inf:
                self._ends.add(connection, until)

    def forget(self, connection: Tenure) -> None:
        """Let go of a connection that is gone."""
        self._ends.discard(connection, connection.until)

    def tick(self, now: float) -> None:
        """Judge those again whose verdict has ended at Unix time ``now``."""
        due = self._ends.due(now)
        if due:
            for connection in due:
                connection.until = -inf
            self._waiting.extend(due)
            self._schedule()

    def _schedule(self) -> None:
        if self._waiting and self._next is None:
            self._next = self._loop.call_soon(self._slice)

    def _slice(self) -> None:
        self._next = None
        waiting, end = self._waiting, monotonic() + SLICE
        try:
            while waiting and monotonic() < end:
                self._judge(waiting.popleft())
        finally:
            self._schedule()
