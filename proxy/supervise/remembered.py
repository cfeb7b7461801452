"""Remembered: how needs ended, for the workers that are still to come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from proxy.control.planes import Settled
from proxy.decide.peer.answers import Failure

MAX_SETTLED: Final = 100_000
"""Answers that a new worker is told: as many as there may be clients at a time, and then some."""


class Remembered:
    """The last outcome of each need that has one, by its key; the oldest go first. ``all`` is for reading."""

    def __init__(self, most: int = MAX_SETTLED) -> None:
        self.all: OrderedDict[bytes, Settled] = OrderedDict()
        self._most = most

    def add(self, outcomes: Mapping[bytes, Settled]) -> None:
        """Remember outcomes. What was answered stays known, whatever happened to the next question."""
        for key, settled in outcomes.items():
            known = self.all.pop(key, None)
            if settled.outcome is not None:
                failed = isinstance(settled.outcome, Failure)
                self.all[key] = known if failed and known is not None else settled
        while len(self.all) > self._most:
            self.all.popitem(last=False)
