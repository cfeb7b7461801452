"""Responder: one host that answers OCSP, with the questions that wait for it, and how it does."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from proxy.control.breaker import Breaker
from proxy.control.ocsp_exchange import Way
from proxy.decide.peer.answers import Fault, Unusable
from proxy.decide.peer.needs import OcspNeed
from proxy.observe.ocsp import ResponderMetrics

MAX_PER_RESPONDER: Final = 8
"""Questions under way to one responder: at 20 ms each, 400 a second; more would be an attack on a small one."""

MAX_QUEUE: Final = 2_000
"""Questions that wait for one responder, 2 KB each: five seconds of a quick one, longer than a client waits."""

_DOWN: Final = frozenset({Fault.UNREACHABLE, Fault.TIMED_OUT, Fault.HTTP_STATUS, Fault.REDIRECTED, Fault.TOO_LARGE})
"""Faults of the host and not of one answer."""


@dataclass(slots=True, eq=False)
class Question:
    """A need under way: since when it waits (loop time), the addresses still to try, and how those before failed.

    A probe asks on behalf of nobody.
    """

    need: OcspNeed
    since: float
    urls: deque[str]
    faults: list[tuple[str, Unusable]] = field(default_factory=list)
    probe: bool = False

    def next_url(self, fault: Unusable) -> None:
        """Note what was wrong with the next address, and turn to the one behind it."""
        self.faults.append((self.urls.popleft(), fault))


@dataclass(slots=True)
class Trouble:
    """Since when (Unix seconds) a responder fails, how, and how often."""

    fault: Fault
    since: float
    failures: int = 0


@dataclass(slots=True, eq=False)
class Responder:
    """One host and port. ``way`` brought the last answer, a probe asks ``sample``, ``asked_at`` is its last use."""

    name: str
    metrics: ResponderMetrics
    breaker: Breaker = field(default_factory=Breaker)
    queue: deque[Question] = field(default_factory=deque)
    in_flight: int = 0
    way: Way | None = None
    trouble: Trouble | None = None
    sample: OcspNeed | None = None
    sample_url: str = ""
    asked_at: float = 0.0
    timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing would be lost if it were forgotten."""
        return not self.queue and not self.in_flight and not self.breaker.is_open

    @property
    def has_room(self) -> bool:
        """Tell whether the next question in the queue may be asked."""
        return bool(self.queue) and self.in_flight < MAX_PER_RESPONDER

    def refusal(self) -> Unusable | None:
        """Say why no question is taken now, None where one is."""
        if self.breaker.is_open:
            last = "" if self.trouble is None else f"; the last time it was {self.trouble.fault}"
            return Unusable(Fault.BUSY, f"it is left alone; failures in a row: {self.breaker.failures}{last}")
        if len(self.queue) >= MAX_QUEUE:
            return Unusable(Fault.BUSY, f"{MAX_QUEUE} questions wait for it already")
        return None

    def answered(self, now: float) -> Trouble | None:
        """Note a response, of whatever worth; return the trouble that it ends."""
        over, self.trouble = self.trouble, None
        self.breaker.answered(now)
        return over

    def failed(self, fault: Fault, started: float, now: float, *, probe: bool) -> bool:
        """Note that a question of ``started`` brought no response; tell whether it is to be probed.

        Times are the loop's.
        """
        if probe and self.breaker.is_open:
            self.breaker.probe_failed(now)
            return True
        return self.breaker.failed(started, now, slow=fault is Fault.TIMED_OUT)


def is_down(fault: Fault) -> bool:
    """Tell whether a fault is the host's, and not that of one answer."""
    return fault in _DOWN
