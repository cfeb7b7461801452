"""Counters that the data path increments: plain integers, and histograms of durations."""

from __future__ import annotations

from typing import Final

# With its type spelled out: mypyc takes a constant tuple of floats for one that was never set.
REQUEST_BOUNDS: Final[tuple[float, ...]] = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
"""Seconds. From an app on the same machine up to the default limit of an upstream's answer."""

CODE_CLASSES: Final = 6
"""Entries of ``responses``: index 1 to 5 is the status code's first digit, 0 is what has no valid one."""


class Histogram:
    """Counts of observed seconds by the constant upper ``bounds``; the last count is of what exceeds them all."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        place = 0
        for bound in self.bounds:  # most are among the first: compiled, that beats bisect
            if seconds <= bound:
                break
            place += 1
        self.counts[place] += 1
        self.sum += seconds


class RouteMetrics:
    """One route of one host: responses by the first digit of their status code, octets of bodies, and durations."""

    __slots__ = ("bytes_in", "bytes_out", "responses", "seconds")

    def __init__(self) -> None:
        self.responses = [0] * CODE_CLASSES
        self.bytes_in = 0
        self.bytes_out = 0
        self.seconds = Histogram(REQUEST_BOUNDS)


class AnchorUse:
    """When an anchor of a bundle was last used: a Unix time in seconds, 0 for never since the start."""

    __slots__ = ("at",)

    def __init__(self, at: float = 0.0) -> None:
        self.at = at


class UpstreamMetrics:
    """One upstream: connections open now, and counts since the start."""

    __slots__ = ("connect_failures_total", "connections_open", "connects_total", "retries_total", "reused_total")

    def __init__(self) -> None:
        self.connections_open = 0
        self.connects_total = 0
        self.connect_failures_total = 0
        self.reused_total = 0
        self.retries_total = 0
