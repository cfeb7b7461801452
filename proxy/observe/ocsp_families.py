"""OCSP's part of the exposition: what responders were asked, and how they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from proxy.observe.counters import Histogram
from proxy.observe.ocsp import OcspMetrics

_RESPONDER: Final = ("responder",)


def ocsp_families(ocsp: OcspMetrics) -> Iterator[Metric]:
    """Yield the families of OCSP, each with a sample for each responder known so far."""
    requests = CounterMetricFamily(
        "originward_ocsp_requests", "Questions to responders by their result.", labels=("responder", "result")
    )
    seconds = HistogramMetricFamily("originward_ocsp_seconds", "Duration of such questions.", labels=_RESPONDER)
    alone = GaugeMetricFamily("originward_ocsp_left_alone", "1 while only probes ask a responder.", labels=_RESPONDER)
    for name, responder in ocsp.responders.items():
        for result, count in responder.results.items():
            requests.add_metric((name, result), count)
        add_histogram(seconds, (name,), responder.seconds)
        alone.add_metric((name,), responder.left_alone)
    yield from (requests, seconds, alone)
    yield GaugeMetricFamily("originward_ocsp_in_flight", "Questions under way.", value=ocsp.in_flight)
    yield GaugeMetricFamily("originward_ocsp_waiting", "Questions that wait for their turn.", value=ocsp.waiting)
    yield CounterMetricFamily("originward_ocsp_unasked", "Questions that nobody was asked.", value=ocsp.unasked)
    yield GaugeMetricFamily("originward_ocsp_answers", "Outcomes in memory.", value=ocsp.answers())
    yield CounterMetricFamily("originward_ocsp_saved", "Responses written to the cache.", value=ocsp.saved)
    yield CounterMetricFamily("originward_ocsp_unsaved", "Responses not written.", value=ocsp.unsaved)
    yield CounterMetricFamily("originward_ocsp_restored", "Answers used from the cache.", value=ocsp.restored)


def add_histogram(family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram) -> None:
    """Add a sample of ``histogram`` to a family."""
    bounds = (*(str(bound) for bound in histogram.bounds), "+Inf")
    family.add_metric(labels, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.sum)
