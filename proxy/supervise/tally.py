"""The tally: the counters of all workers, asked for when somebody wants to see them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from proxy.supervise import messages
from proxy.supervise.process import Process
from proxy.supervise.sums import Counts, Sums, join

COUNT_SECONDS: Final = 2.0
"""For all workers to send their counters; those of a slow one are then as of the last time."""


class Tally:
    """Asks workers, and keeps the ``sums`` of what they said."""

    def __init__(self) -> None:
        self.sums = Sums()
        self._parts: dict[Process, list[Counts]] = {}
        self._waiting: dict[Process, asyncio.Event] = {}

    async def count(self, workers: Iterable[Process]) -> Sums:
        """Have workers send their counters, and return the sums."""
        asked = [(worker, self._waiting.setdefault(worker, asyncio.Event())) for worker in workers]
        for worker, _ in asked:
            worker.say(messages.Count())
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                for _, counted in asked:
                    await counted.wait()
        except TimeoutError:
            return self.sums  # as of the last time, for those that are slow
        return self.sums

    def take(self, worker: Process, message: messages.Counted) -> None:
        """Take a part of what a worker has counted."""
        parts = self._parts.setdefault(worker, [])
        parts.append(dict(message.part))
        if message.last:
            self.sums.update(worker.number, join(parts))
            self._answered(worker)

    def retire(self, worker: Process) -> int:
        """Keep what a worker counted that is gone; return how many connections it had open when it counted last."""
        lost = self.sums.open_at(worker.number)
        self.sums.retire(worker.number)
        self._answered(worker)
        return lost

    def _answered(self, worker: Process) -> None:
        self._parts.pop(worker, None)
        counted = self._waiting.pop(worker, None)
        if counted is not None:
            counted.set()
