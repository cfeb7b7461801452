"""Sums: the counters of all workers as those of one process.

What a worker counted stays in the sums when it is gone, so that they never go backwards; what it had open does not.
What a configuration says of itself is the same everywhere, and is taken from the newest generation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import islice
from typing import Any, Final, NamedTuple

from proxy.observe.counters import AnchorUse, Histogram, RouteMetrics, UpstreamMetrics
from proxy.observe.metrics import MAX_CLIENT_CERTIFICATES, Metrics

OPEN: Final = frozenset({"connections_open", "handshakes_in_progress"})
"""What is open now, of a process and of an upstream: it goes with its worker."""

DESCRIBED: Final = frozenset(
    {"generation", "server_certificates", "anchors", "anchor_windows", "crls", "_warnings", "_loosened"}
)
"""What ``Metrics.describe`` sets: it is of a generation, not of a process."""

OWN: Final = frozenset({"last_reload_successful", "last_reload_success", "crl_fetches"})
"""How the last reload went, and the fetches of CRLs: the supervisor's, who makes them."""

LATEST: Final = frozenset({"client_certificates"})
"""Tables of what was seen: one entry for each, whoever saw it."""

APART: Final = frozenset({"routes", "ocsp"})
"""Routes go by themselves; responders are asked by one process alone, for all."""

ROUTES_PER_PART: Final = 500
"""Routes of one message: about a millisecond."""

Counts = dict[str, Any]
"""The counters of a process, by the fields of ``Metrics``; routes as flat tuples, None where nothing came yet."""


class _Durations(NamedTuple):
    """A histogram as it is sent: the data path's own may be compiled, and is not to be pickled then."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class _Upstream(NamedTuple):
    """The counters of an upstream as they are sent."""

    connect_failures_total: int
    connections_open: int
    connects_total: int
    retries_total: int
    reused_total: int


class _LastUse(NamedTuple):
    """The last use of an anchor as it is sent: of several, the latest counts."""

    at: float


def parts(metrics: Metrics) -> Iterator[Counts]:
    """Yield the counters of this process in parts that are quick to make and to send."""
    plain = {field.name: _plain(getattr(metrics, field.name)) for field in fields(metrics) if field.name not in APART}
    yield {**plain, "log_dropped": metrics.log_dropped()}
    routes = iter(list(metrics.routes.items()))
    while some := {key: _flat(route) for key, route in islice(routes, ROUTES_PER_PART)}:
        yield {"routes": some}


def _plain(value: Any) -> Any:
    """Return a counter as it is sent."""
    if isinstance(value, dict):
        return type(value)((key, _plain(item)) for key, item in value.items())
    if isinstance(value, Histogram):
        return _Durations(value.bounds, tuple(value.counts), value.sum)
    if isinstance(value, UpstreamMetrics):
        return _Upstream(*(getattr(value, name) for name in _Upstream._fields))
    if isinstance(value, AnchorUse):
        return _LastUse(value.at)
    return value


def _live(value: Any) -> Any:
    """Return a counter as it was before it was sent."""
    if isinstance(value, dict):
        return type(value)((key, _live(item)) for key, item in value.items())
    if isinstance(value, _Durations):
        histogram = Histogram(value.bounds)
        histogram.counts, histogram.sum = list(value.counts), value.sum
        return histogram
    if isinstance(value, _Upstream):
        upstream = UpstreamMetrics()
        for name, count in zip(_Upstream._fields, value, strict=True):
            setattr(upstream, name, count)
        return upstream
    if isinstance(value, _LastUse):
        return AnchorUse(value.at)
    return value


def join(parts_: Iterable[Counts]) -> Counts:
    """Put the parts together again."""
    whole: Counts = {"routes": {}}
    for part in parts_:
        whole["routes"].update(part.get("routes", {}))
        whole.update((name, value) for name, value in part.items() if name != "routes")
    return whole


def _flat(route: RouteMetrics) -> tuple[float, ...] | None:
    flat = (route.bytes_in, route.bytes_out, *route.responses, *route.seconds.counts, route.seconds.sum)
    return flat if any(flat) else None


def _round(flat: tuple[float, ...] | None) -> RouteMetrics:
    route = RouteMetrics()
    if flat is not None:
        responses = len(route.responses)
        route.bytes_in, route.bytes_out = int(flat[0]), int(flat[1])
        route.responses = [int(count) for count in flat[2 : 2 + responses]]
        route.seconds.counts = [int(count) for count in flat[2 + responses : -1]]
        route.seconds.sum = flat[-1]
    return route


def add(one: Any, other: Any) -> Any:
    """Add two counters of a kind."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, Mapping):
        return {key: add(one.get(key), other.get(key)) for key in {**one, **other}}
    if isinstance(one, _Durations):
        return _Durations(one.bounds, add(one.counts, other.counts), one.sum + other.sum)
    if isinstance(one, _LastUse):
        return max(one, other)
    if isinstance(one, tuple):
        summed = map(sum, zip(one, other, strict=True))
        return _Upstream(*summed) if isinstance(one, _Upstream) else tuple(summed)
    return one + other


class Sums:
    """The counters of the workers that are there, by their numbers, and of those that are gone."""

    def __init__(self) -> None:
        self._present: dict[int, Counts] = {}
        self._gone: Counts = {}

    def update(self, number: int, counts: Counts) -> None:
        """Take what a worker has counted since its start."""
        self._present[number] = counts

    def open_at(self, number: int) -> int:
        """Return the connections that a worker had open when it counted last."""
        return int(self._present.get(number, {}).get("connections_open", 0))

    def retire(self, number: int) -> None:
        """Keep what a worker has counted, which is gone."""
        counts = self._present.pop(number, None)
        if counts is not None:
            self._gone = _sum([self._gone, _closed(counts)])

    def fill(self, metrics: Metrics, own: Metrics) -> None:
        """Make ``metrics`` the sum of all, and of what this process counts itself in ``own``."""
        mine = join(parts(own))
        present = [mine, *self._present.values()]
        total = _sum([_without_strangers(self._gone, present), *present])
        newest = max(present, key=lambda counts: int(counts["generation"]))
        for name in DESCRIBED:
            setattr(metrics, name, newest[name])
        for name in OWN:
            setattr(metrics, name, mine[name])
        metrics.ocsp = own.ocsp
        for name, value in total.items():
            setattr(metrics, name, _as_field(name, value))


def _as_field(name: str, value: Any) -> Any:
    if name == "log_dropped":
        return _constant(value)
    if name == "routes":
        return {key: _round(flat) for key, flat in value.items()}
    return _live(value)


def _constant(value: int) -> Callable[[], int]:
    return lambda: value


def _sum(all_: list[Counts]) -> Counts:
    total: Counts = {}
    for counts in all_:
        for name, value in counts.items():
            if name in LATEST:
                merged = {**total.get(name, {}), **value}
                total[name] = type(value)(list(merged.items())[-MAX_CLIENT_CERTIFICATES:])
            elif name not in DESCRIBED | OWN:
                total[name] = add(total[name], value) if name in total else value
    return total


def _closed(counts: Counts) -> Counts:
    """Return the counters of a worker that is gone: nothing of it is open, and what it saw is shown by others."""
    kept = {name: value for name, value in counts.items() if name not in OPEN | DESCRIBED | LATEST | OWN}
    upstreams = {name: known._replace(connections_open=0) for name, known in counts.get("upstreams", {}).items()}
    return {**kept, "upstreams": upstreams}


def _without_strangers(gone: Counts, present: list[Counts]) -> Counts:
    """Leave out the routes and upstreams that no worker has any more, or a site that changes would fill the page."""
    if len(present) == 1:
        return gone
    kept = dict(gone)
    for name in ("routes", "upstreams", "handshakes"):
        known = {key for counts in present for key in counts.get(name, {})}
        kept[name] = {key: value for key, value in gone.get(name, {}).items() if key in known}
    return kept
