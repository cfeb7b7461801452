"""The text of /metrics, read back by Prometheus' own parser."""

from __future__ import annotations

from dataclasses import replace

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from proxy import __version__
from proxy.decide.facts import read_certificate
from proxy.decide.verdict import Reason
from proxy.observe.exposition import SLICE, Exposition
from proxy.observe.metrics import Expiry, Metrics

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(metrics: Metrics) -> Samples:
    """Render and parse the page; no series may occur twice."""
    page = b"".join(Exposition(metrics).parts()).decode()
    rows = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    ]
    assert len(rows) == len(dict(rows))
    return dict(rows)


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return one sample."""
    return samples[name, frozenset(labels.items())]


def test_every_reason_is_there_from_the_start() -> None:
    """An alert on a reason that never occurred yet finds a zero and not a gap."""
    samples = scrape(Metrics())
    for reason in Reason:
        assert value(samples, "originward_handshakes_refused_total", reason=reason.value) == 0
        assert value(samples, "originward_requests_refused_total", reason=reason.value) == 0


def test_connections_and_handshakes_are_shown() -> None:
    """The counters come out under their names."""
    metrics = Metrics(log_dropped=lambda: 9)
    metrics.connections_open, metrics.connections_total, metrics.handshakes_in_progress = 2, 5, 1
    metrics.internal_errors = 4
    metrics.handshake_accepted("h", 0.003)
    metrics.handshake_refused(Reason.NO_CERTIFICATE, "h")
    samples = scrape(metrics)
    assert value(samples, "originward_connections_open") == 2
    assert value(samples, "originward_connections_total") == 5
    assert value(samples, "originward_internal_errors_total") == 4
    assert value(samples, "originward_handshakes_in_progress") == 1
    assert value(samples, "originward_handshakes_total", host="h", result="accepted") == 1
    assert value(samples, "originward_handshakes_total", host="h", result="refused") == 1
    assert value(samples, "originward_handshakes_refused_total", reason="no-certificate") == 1
    assert value(samples, "originward_handshake_seconds_bucket", le="0.0025") == 0
    assert value(samples, "originward_handshake_seconds_bucket", le="0.005") == 1
    assert value(samples, "originward_handshake_seconds_count") == 1
    assert value(samples, "originward_log_dropped_total") == 9


def test_routes_are_shown() -> None:
    """Requests by class of status code, octets, and a histogram whose last bucket is everything."""
    metrics = Metrics()
    route = metrics.route("h", "/api/")
    route.responses[2], route.bytes_in, route.bytes_out = 3, 10, 20
    route.seconds.observe(1000.0)
    samples = scrape(metrics)
    labels = {"host": "h", "route": "/api/"}
    assert value(samples, "originward_requests_total", **labels, code_class="2xx") == 3
    assert value(samples, "originward_requests_total", **labels, code_class="5xx") == 0
    assert value(samples, "originward_request_bytes_total", **labels) == 10
    assert value(samples, "originward_response_bytes_total", **labels) == 20
    assert value(samples, "originward_request_seconds_bucket", **labels, le="60.0") == 0
    assert value(samples, "originward_request_seconds_bucket", **labels, le="+Inf") == 1
    assert value(samples, "originward_request_seconds_sum", **labels) == 1000


def test_upstreams_are_shown() -> None:
    """Each integer of an upstream has a series."""
    metrics = Metrics()
    app = metrics.upstream("app")
    app.connections_open, app.connects_total, app.connect_failures_total = 1, 2, 3
    app.reused_total, app.retries_total = 4, 5
    samples = scrape(metrics)
    names = ("connections_open", "connects_total", "connect_failures_total", "reused_total", "retries_total")
    assert [value(samples, f"originward_upstream_{name}", upstream="app") for name in names] == [1, 2, 3, 4, 5]


def test_ends_of_certificates_are_shown() -> None:
    """Server certificates, anchors and presented client certificates have their ends as Unix times."""
    pem = trustme.CA().cert_pem.bytes()
    cert = read_certificate(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
    metrics = Metrics(
        server_certificates=(Expiry(("h", "f1"), 1.0),),
        anchors=(Expiry(("cdn", "f2", "CN=ca"), 2.0),),
    )
    metrics.client_certificate(replace(cert, fingerprint="f3", subject="CN=edge", not_after=3.0))
    samples = scrape(metrics)
    ends = "not_after_seconds"
    assert value(samples, f"originward_certificate_{ends}", host="h", fingerprint="f1") == 1
    assert value(samples, f"originward_anchor_{ends}", bundle="cdn", fingerprint="f2", subject="CN=ca") == 2
    assert value(samples, f"originward_client_certificate_{ends}", fingerprint="f3", subject="CN=edge") == 3


def test_a_hostile_subject_neither_forges_a_series_nor_fails_the_page() -> None:
    """Quotes, newlines and lone surrogates stay inside their label."""
    subject = 'CN="} 1\noriginward_forged 1\n\ud800\u202e'
    samples = scrape(Metrics(anchors=(Expiry(("cdn", "f", subject), 2.0),)))
    shown = 'CN="} 1\\noriginward_forged 1\\n\\ud800\\u202e'
    assert value(samples, "originward_anchor_not_after_seconds", bundle="cdn", fingerprint="f", subject=shown) == 2
    assert not any(name.startswith("originward_forged") for name, _ in samples)


def test_what_runs_and_the_process_are_shown() -> None:
    """The build, the generation and the process have their series, and the global registry has none of ours."""
    samples = scrape(Metrics(generation=4))
    build = next(dict(labels) for name, labels in samples if name == "originward_build_info")
    assert build["version"] == __version__
    assert set(build) == {"version", "openssl", "python"}
    assert value(samples, "originward_config_generation") == 4
    assert value(samples, "originward_config_warnings") == 0
    assert value(samples, "process_open_fds") > 0
    assert not any(family.name.startswith("originward") for family in REGISTRY.collect())


def test_a_page_of_many_parts_reads_as_one() -> None:
    """A family that is written in slices has its help once and all of its samples."""
    metrics = Metrics()
    for number in range(SLICE):
        metrics.route("h", f"/{number}/").bytes_in = number
    parts = list(Exposition(metrics).parts())
    assert len(parts) > 20
    assert b"".join(parts).count(b"# HELP originward_request_seconds ") == 1
    samples = scrape(metrics)
    assert value(samples, "originward_request_bytes_total", host="h", route=f"/{SLICE - 1}/") == SLICE - 1
