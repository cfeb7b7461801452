"""Exposition: the counters as Prometheus text, family by family."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Final

from cryptography.hazmat.backends.openssl import backend
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector as PrometheusCollector

from proxy import __version__
from proxy.decide.verdict import Reason
from proxy.observe.counters import RouteMetrics
from proxy.observe.escape import text
from proxy.observe.metrics import Expiry, Metrics
from proxy.observe.ocsp_families import add_histogram, ocsp_families

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The one format that every scraper reads."""

_CODE_CLASSES: Final = ((1, "1xx"), (2, "2xx"), (3, "3xx"), (4, "4xx"), (5, "5xx"))
_HOST_RESULT: Final = ("host", "result")
_HOST_ROUTE: Final = ("host", "route")
_UPSTREAM: Final = ("upstream",)

_UPSTREAM_COUNTERS: Final = (
    ("connects_total", "Connections made to the upstream's servers."),
    ("connect_failures_total", "Attempts to connect that failed."),
    ("reused_total", "Requests sent on a pooled connection."),
    ("retries_total", "Requests sent once more after a pooled connection was closed under them."),
)

SLICE: Final = 250
"""Samples written before the loop gets its turn: 2 ms. A scrape of many routes has thousands."""


class Collector(PrometheusCollector):
    """Reads ``metrics`` at each scrape."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield every family, each with a sample for each label value known so far."""
        yield _build_info()
        yield from self._connections()
        yield from self._handshakes()
        yield from self._requests()
        yield from self._upstreams()
        yield from self._configuration()
        yield from self._certificates()
        yield from self._crls()
        yield from ocsp_families(self._metrics.ocsp)
        yield _counter("originward_log_dropped", "Log lines that found no room.", self._metrics.log_dropped())

    def _connections(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield _gauge("originward_connections_open", "Client connections open now.", metrics.connections_open)
        yield _counter("originward_connections", "Client connections accepted.", metrics.connections_total)
        name = "originward_connections_withdrawn"
        yield _by_reason(name, "Open connections that were no longer admitted.", metrics.withdrawn)
        awaited = "Verdicts that had to wait for a CRL or an OCSP answer."
        yield _counter("originward_verdicts_awaited", awaited, metrics.verdicts_awaited)
        yield _counter("originward_internal_errors", "Exceptions that nobody foresaw.", metrics.internal_errors)
        yield _counter("originward_worker_deaths", "Workers that ended without being told to.", metrics.worker_deaths)

    def _handshakes(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield _gauge("originward_handshakes_in_progress", "Handshakes under way.", metrics.handshakes_in_progress)
        family = CounterMetricFamily(
            "originward_handshakes", "Handshakes by result; host is empty where none was known.", labels=_HOST_RESULT
        )
        for labels, count in metrics.handshakes.items():
            family.add_metric(labels, count)
        yield family
        yield _by_reason("originward_handshakes_refused", "Refused handshakes.", metrics.handshakes_refused)
        seconds = HistogramMetricFamily("originward_handshake_seconds", "Duration of accepted handshakes.")
        add_histogram(seconds, (), metrics.handshake_seconds)
        yield seconds

    def _requests(self) -> Iterator[Metric]:
        # One family at a time, not one route: what is made between two yields is what a scrape holds the loop for.
        routes = self._metrics.routes
        count = CounterMetricFamily("originward_requests", "Answered requests.", labels=(*_HOST_ROUTE, "code_class"))
        for labels, route in routes.items():
            for index, code_class in _CODE_CLASSES:
                count.add_metric((*labels, code_class), route.responses[index])
        yield count
        seconds = HistogramMetricFamily("originward_request_seconds", "Duration of requests.", labels=_HOST_ROUTE)
        for labels, route in routes.items():
            add_histogram(seconds, labels, route.seconds)
        yield seconds
        yield _by_route("originward_request_bytes", "Octets of request bodies.", routes, "bytes_in")
        yield _by_route("originward_response_bytes", "Octets of response bodies.", routes, "bytes_out")
        yield _by_reason("originward_requests_refused", "Refused requests.", self._metrics.requests_refused)

    def _upstreams(self) -> Iterator[Metric]:
        upstreams = self._metrics.upstreams
        opened = GaugeMetricFamily("originward_upstream_connections_open", "Connections open now.", labels=_UPSTREAM)
        for name, upstream in upstreams.items():
            opened.add_metric((name,), upstream.connections_open)
        yield opened
        for attribute, documentation in _UPSTREAM_COUNTERS:
            family = CounterMetricFamily(f"originward_upstream_{attribute}", documentation, labels=_UPSTREAM)
            for name, upstream in upstreams.items():
                family.add_metric((name,), getattr(upstream, attribute))
            yield family

    def _configuration(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield _gauge("originward_config_generation", "Generation of the configuration in force.", metrics.generation)
        yield _gauge("originward_config_warnings", "Warnings and loosenings in force.", metrics.config_warnings)
        good = metrics.last_reload_successful
        yield _gauge("originward_config_last_reload_successful", "1, or 0 after a failed reload.", good)
        since = metrics.last_reload_success
        name = "originward_config_last_reload_success_timestamp_seconds"
        yield _gauge(name, "The last successful load as a Unix time.", since)
        reloads = CounterMetricFamily("originward_config_reloads", "Reloads by how they ended.", labels=("result",))
        for result, count in metrics.reloads.items():
            reloads.add_metric((result,), count)
        yield reloads

    def _certificates(self) -> Iterator[Metric]:
        """Yield the ends of certificates as Unix times, for alerts that fire before them."""
        metrics = self._metrics
        clients = metrics.client_certificates.values()
        server = ("host", "fingerprint")
        anchor = ("bundle", "fingerprint", "subject")
        client = ("fingerprint", "subject")
        yield _ends("originward_certificate", "Server certificates", server, metrics.server_certificates)
        yield _ends("originward_anchor", "Trust anchors", anchor, metrics.anchors)
        yield _ends("originward_anchor_window", "Windows of trust anchors", anchor, metrics.anchor_windows)
        used = GaugeMetricFamily(
            "originward_anchor_last_used_timestamp_seconds",
            "When a client that an anchor admits was last there, as a Unix time; 0 is never since the start.",
            labels=anchor,
        )
        for one in metrics.anchors:
            use = metrics.anchor_uses.get((one.labels[0], one.labels[1]))
            used.add_metric(tuple(map(text, one.labels)), 0.0 if use is None else use.at)
        yield used
        yield _ends("originward_client_certificate", "Accepted client certificates", client, clients)

    def _crls(self) -> Iterator[Metric]:
        labels = ("bundle", "issuer", "source")
        name = "originward_crl_next_update_seconds"
        ends = GaugeMetricFamily(name, "CRLs: nextUpdate as a Unix time.", labels=labels)
        entries = GaugeMetricFamily("originward_crl_entries", "Certificates that CRLs list.", labels=labels)
        for crl in self._metrics.crls:
            shown = tuple(map(text, crl.labels))
            ends.add_metric(shown, crl.next_update)
            entries.add_metric(shown, crl.entries)
        yield ends
        yield entries
        yield from self._crl_fetches()

    def _crl_fetches(self) -> Iterator[Metric]:
        labels = ("bundle", "source")
        name = "originward_crl_last_success_seconds"
        good = GaugeMetricFamily(name, "CRLs elsewhere: the last good attempt as a Unix time.", labels=labels)
        name = "originward_crl_failures"
        failures = GaugeMetricFamily(name, "CRLs elsewhere: attempts in a row that failed.", labels=labels)
        name = "originward_crl_fetches_total"
        fetches = CounterMetricFamily(name, "CRLs elsewhere: attempts by outcome.", labels=(*labels, "outcome"))
        for key, fetched in self._metrics.crl_fetches.items():
            shown = tuple(map(text, key))
            good.add_metric(shown, fetched.succeeded_at)
            failures.add_metric(shown, fetched.failures)
            for outcome, count in fetched.outcomes.items():
                fetches.add_metric((*shown, outcome), count)
        yield good
        yield failures
        yield fetches


class Exposition:
    """The text of /metrics: the collector's families and those of the process, in a registry of their own.

    ``processes`` yields the latter where there are several processes.
    """

    def __init__(self, metrics: Metrics, processes: PrometheusCollector | None = None) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(Collector(metrics))
        if processes is None:
            ProcessCollector(registry=self._registry)
        else:
            self._registry.register(processes)

    def parts(self) -> Iterator[bytes]:
        """Yield the text in parts that are quick to make; joined, they are the page."""
        for family in self._registry.collect():
            for start in range(0, max(len(family.samples), 1), SLICE):
                part = generate_latest(_Slice(family, start))
                # The two lines of help and type are for the family's first part only.
                yield part.split(b"\n", 2)[2] if start else part


class _Slice(PrometheusCollector):
    """Some samples of one family, for ``generate_latest``, which takes collectors only."""

    def __init__(self, family: Metric, start: int) -> None:
        self._part = copy(family)
        self._part.samples = family.samples[start : start + SLICE]

    def collect(self) -> Iterator[Metric]:
        yield self._part


def _build_info() -> Metric:
    family = InfoMetricFamily("originward_build", "What is running.")
    versions = {"version": __version__, "openssl": backend.openssl_version_text(), "python": platform.python_version()}
    family.add_metric((), versions)
    return family


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(name, documentation, value=value)


def _by_reason(name: str, documentation: str, counts: Mapping[Reason, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=("reason",))
    for reason, count in counts.items():
        family.add_metric((reason.value,), count)
    return family


def _by_route(name: str, documentation: str, routes: Mapping[tuple[str, str], RouteMetrics], attribute: str) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=_HOST_ROUTE)
    for labels, route in routes.items():
        family.add_metric(labels, getattr(route, attribute))
    return family


def _ends(name: str, what: str, labels: Sequence[str], ends: Iterable[Expiry]) -> Metric:
    family = GaugeMetricFamily(f"{name}_not_after_seconds", f"{what}: the end as a Unix time.", labels=labels)
    for end in ends:
        # Subjects are hostile text; one lone surrogate would fail the whole page.
        family.add_metric(tuple(map(text, end.labels)), end.not_after)
    return family
