"""OCSP's families: a responder's questions by result, how long they took, and whether it is left alone."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from proxy.observe.exposition import Exposition
from proxy.observe.metrics import Metrics
from proxy.observe.ocsp import ResponderMetrics


def test_each_responder_has_its_samples() -> None:
    """By its host and port; what is of all has no label."""
    metrics = Metrics()
    metrics.ocsp.answers = lambda: 7
    metrics.ocsp.in_flight, metrics.ocsp.unasked = 3, 4
    responder = metrics.ocsp.responders["ocsp.example:80"] = ResponderMetrics(left_alone=True)
    responder.asked("good", 0.02)
    responder.asked("good", 0.03)
    responder.asked("timed-out", 2.0)
    page = b"".join(Exposition(metrics).parts()).decode()
    found = {
        (sample.name, sample.labels.get("result") or sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(page)
        if family.name.startswith("originward_ocsp")
        for sample in family.samples
    }
    assert found["originward_ocsp_requests_total", "good"] == 2
    assert found["originward_ocsp_requests_total", "timed-out"] == 1
    assert found["originward_ocsp_seconds_bucket", "0.025"] == 1
    assert found["originward_ocsp_seconds_count", None] == 3
    assert found["originward_ocsp_left_alone", None] == 1
    assert found["originward_ocsp_answers", None] == 7
    assert (found["originward_ocsp_in_flight", None], found["originward_ocsp_unasked_total", None]) == (3, 4)
