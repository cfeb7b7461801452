"""A permit ends with the certificates behind it, also in the middle of a connection, and each route has its own."""

from __future__ import annotations

import time
from datetime import timedelta

from proxy.operate.demo.pki import Leaf, Window
from tests.support.gateway import Gateway
from tests.support.harness import PATIENCE


def test_a_certificate_that_expires_ends_its_connection(patient: Gateway) -> None:
    """A request may be there first, and is refused; then the connection is closed: a handshake would be refused too."""
    window = Window.around_now(timedelta(hours=1), timedelta(seconds=2))
    since = patient.proxy.mark()
    with patient.client(patient.cdn.issue(Leaf(subject="short-lived", window=window))) as client:
        assert client.ask("/before").status == 200
        deadline = time.monotonic() + PATIENCE
        while (answer := client.ask("/again")).status == 200:
            assert time.monotonic() < deadline
        ended = time.time()
        assert answer.status in {0, 403}
        assert client.tls.read_all() == b""
    assert -1 < ended - window.end.timestamp() < 2
    assert patient.proxy.reason("connection.withdrawn", since) == "expired"
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
