"""The counters that the data path increments."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType, SimpleNamespace
from typing import cast

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.decide.facts import Certificate, read_certificate
from proxy.decide.peer.chain import Bundle
from proxy.decide.peer.windows import Window
from proxy.decide.request.route import ClientCertificate, Host, HostTable, Route
from proxy.decide.verdict import Identity, Reason
from proxy.observe.metrics import MAX_CLIENT_CERTIFICATES, Expiry, Metrics
from proxy.snapshot.model import Snapshot


def _certificate() -> Certificate:
    pem = trustme.CA().cert_pem.bytes()
    return read_certificate(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))


CERT = _certificate()
HOST = Host(("origin.example.com",), tuple(Route(p, ClientCertificate.NONE, None, "app") for p in ("/", "/public/")))


def snapshot(generation: int, warnings: tuple[str, ...] = ()) -> Snapshot:
    """Make what ``describe`` reads of a snapshot."""
    return cast(
        "Snapshot",
        SimpleNamespace(
            generation=generation,
            hosts=HostTable((HOST,)),
            certificates=MappingProxyType({HOST: (CERT, CERT)}),
            bundles=MappingProxyType({"cdn": Bundle("cdn", (CERT, CERT))}),
            upstreams=MappingProxyType({"app": None}),
            warnings=warnings,
        ),
    )


def test_the_same_labels_give_the_same_counters() -> None:
    """Counters go on across snapshots."""
    metrics = Metrics()
    assert metrics.route("h", "/") is metrics.route("h", "/")
    assert metrics.route("h", "/") is not metrics.route("h", "/a")
    assert metrics.upstream("app") is metrics.upstream("app")


def test_a_route_counts_requests() -> None:
    """The data path writes plain integers, and one call for the duration."""
    route = Metrics().route("h", "/")
    route.responses[404 // 100] += 1
    route.bytes_in += 5
    route.seconds.observe(0.002)
    assert (route.responses, route.bytes_in, sum(route.seconds.counts)) == ([0, 0, 0, 0, 1, 0], 5, 1)


def test_handshakes_are_counted_by_result_and_reason() -> None:
    """An accepted one by host, a refused one by reason, and by host where one was known."""
    metrics = Metrics()
    metrics.handshake_accepted("h", 0.01)
    metrics.handshake_refused(Reason.EXPIRED, "h")
    metrics.handshake_refused(Reason.NOT_TLS)
    assert metrics.handshakes == {("h", "accepted"): 1, ("h", "refused"): 1, ("", "refused"): 1}
    assert [reason for reason, count in metrics.handshakes_refused.items() if count] == [Reason.EXPIRED, Reason.NOT_TLS]


def test_a_snapshot_describes_itself() -> None:
    """Routes, upstreams and hosts are there with zero before the first request; anchors are listed once."""
    metrics = Metrics()
    metrics.describe(snapshot(3, ("loose",)))
    assert (metrics.generation, metrics.config_warnings) == (3, 1)
    assert set(metrics.routes) == {("origin.example.com", "/"), ("origin.example.com", "/public/")}
    assert set(metrics.upstreams) == {"app"}
    assert [expiry.labels for expiry in metrics.server_certificates] == [("origin.example.com", CERT.fingerprint)]
    assert [expiry.labels for expiry in metrics.anchors] == [("cdn", CERT.fingerprint, CERT.subject)]


def test_a_new_snapshot_replaces_warnings_and_keeps_counts() -> None:
    """What the old configuration loosened is over; what was counted stays; other loosenings stay too."""
    metrics = Metrics()
    metrics.loosened("a flag")
    metrics.loosened("a flag")
    metrics.describe(snapshot(1, ("one", "two")))
    assert metrics.config_warnings == 3
    metrics.route("origin.example.com", "/").bytes_out = 7
    metrics.describe(snapshot(2))
    assert (metrics.config_warnings, metrics.route("origin.example.com", "/").bytes_out) == (1, 7)


@pytest.mark.parametrize("extra", [0, 1, 50])
def test_the_table_of_client_certificates_is_bounded(extra: int) -> None:
    """Clients cannot grow the page without end: the certificate seen longest ago goes first."""
    metrics = Metrics()
    for number in range(MAX_CLIENT_CERTIFICATES):
        metrics.client_certificate(replace(CERT, fingerprint=str(number)))
    metrics.client_certificate(replace(CERT, fingerprint="0"))
    for number in range(extra):
        metrics.client_certificate(replace(CERT, fingerprint=f"new {number}"))
    assert len(metrics.client_certificates) == MAX_CLIENT_CERTIFICATES
    assert "0" in metrics.client_certificates
    assert ("1" in metrics.client_certificates) == (extra == 0)


def test_the_end_of_an_anchors_window_is_shown() -> None:
    """Once for each anchor; one that counts for ever has none."""
    metrics, described = Metrics(), snapshot(1)
    metrics.describe(described)
    assert metrics.anchor_windows == ()
    windows = {CERT.fingerprint: Window(not_after=5.0)}
    described.bundles = {"cdn": Bundle("cdn", (CERT, CERT), windows=windows)}  # type: ignore[misc]  # a stand-in
    metrics.describe(described)
    assert metrics.anchor_windows == (Expiry(("cdn", CERT.fingerprint, CERT.subject), 5.0),)


def test_an_anchors_use_is_the_same_object_across_snapshots() -> None:
    """What holds it goes on noting there; an anchor that is gone is forgotten."""
    metrics = Metrics()
    metrics.describe(snapshot(1))
    identity = Identity(CERT, (CERT,), "cdn")
    use = metrics.anchor_use(identity)
    use.at = 5.0
    metrics.anchor_use(replace(identity, bundle="gone"))
    metrics.describe(snapshot(2))
    assert metrics.anchor_use(identity) is use
    assert list(metrics.anchor_uses) == [("cdn", CERT.fingerprint)]
