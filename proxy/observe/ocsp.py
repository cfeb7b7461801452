"""OCSP in the metrics: what responders were asked, how they answered, and which are left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from proxy.observe.counters import Histogram

SECONDS_BOUNDS: Final[tuple[float, ...]] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. From a responder in the next rack up to five times the default time-out."""


@dataclass(slots=True)
class ResponderMetrics:
    """One responder, by its host and port: questions by their result, their durations, and whether it is left alone."""

    results: dict[str, int] = field(default_factory=dict)
    seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS_BOUNDS))
    left_alone: bool = False

    def asked(self, result: str, seconds: float) -> None:
        """Count a question that ended: with a status, or a fault."""
        self.results[result] = self.results.get(result, 0) + 1
        self.seconds.observe(seconds)


@dataclass(slots=True)
class OcspMetrics:
    """All responders. ``answers`` returns the outcomes in memory; ``unasked`` counts questions that nobody was asked.

    ``saved``, ``unsaved`` and ``restored`` count responses written to the cache, not written, and used from it.
    """

    answers: Callable[[], int] = lambda: 0
    in_flight: int = 0
    waiting: int = 0
    unasked: int = 0
    saved: int = 0
    unsaved: int = 0
    restored: int = 0
    responders: dict[str, ResponderMetrics] = field(default_factory=dict)
