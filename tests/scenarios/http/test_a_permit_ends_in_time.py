"""A permit ends with the certificates behind it, also in the middle of a connection, and each route has its own."""

from __future__ import annotations

import time
from datetime import timedelta

from proxy.operate.demo.pki import Leaf, Window
from tests.support.gateway import Gateway
from tests.support.harness import PATIENCE


def test_a_certificate_that_expires_is_refused_with_the_next_request(patient: Gateway) -> None:
    """The connection stays; who is somebody else without a certificate still is on the routes that ask for none."""
    window = Window.around_now(timedelta(hours=1), timedelta(seconds=2))
    since = patient.proxy.mark()
    with patient.client(patient.cdn.issue(Leaf(subject="short-lived", window=window))) as client:
        assert client.ask("/before").status == 200
        deadline = time.monotonic() + PATIENCE
        while (answer := client.ask("/again")).status == 200:
            assert time.monotonic() < deadline
        ended = time.time()
        assert answer.status == 403
        assert [client.ask(path).status for path in ("/public/x", "/maybe/x", "/small/x")] == [200, 403, 403]
    assert -1 < ended - window.end.timestamp() < 2
    assert patient.refusal(since)["reason"] == "expired"
    with patient.client(patient.cdn.issue(Leaf(subject="short-lived", window=window))) as client:
        assert client.tls.read() == b""
        assert "expired" in str(client.tls.error)


def test_requests_that_alternate_between_routes_are_judged_for_each(patient: Gateway) -> None:
    """What one route granted is worth nothing on the next."""
    paths = ["/x", "/partners/x", "/public/x", "/maybe/x", "/partners/y", "/y"]
    for authority, expected in (
        (patient.cdn, [200, 403, 200, 200, 403, 200]),
        (patient.partners, [403, 200, 200, 403, 200, 403]),
    ):
        with patient.client(authority.issue(Leaf(subject="somebody"))) as client:
            for _ in range(3):
                assert [client.ask(path).status for path in paths] == expected
    with patient.client(None) as client:
        assert [client.ask(path).status for path in paths] == [403, 403, 200, 200, 403, 403]
