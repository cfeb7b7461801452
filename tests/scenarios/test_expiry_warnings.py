"""A client's certificate that is about to expire is warned of while there is time, once for each threshold."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from proxy.operate.demo.pki import Leaf, Window
from tests.support.harness import RawOrigin, TlsClient, running
from tests.support.site import ZONE, small_site


def test_a_certificate_that_ends_within_the_week_is_warned_of_once(tmp_path: Path) -> None:
    """However often the client comes; and the metrics have the very second, for alerts."""
    with RawOrigin() as origin:
        config, cdn = small_site(tmp_path, origin.port)
        soon = cdn.issue(Leaf(subject="soon", window=Window.around_now(timedelta(days=1), timedelta(days=5))))
        later = cdn.issue(Leaf(subject="later", window=Window.around_now(timedelta(days=1), timedelta(days=60))))
        with running(config) as proxy:
            for client in (soon, later, soon):
                with TlsClient(proxy.port, ZONE, client).handshake() as tls:
                    assert tls.get("/", ZONE).status == 200
            metrics = proxy.metrics()
        (warning,) = [line for line in proxy.lines if line["event"] == "certificate.expiring"]
    assert (warning["within_days"], warning["host"], warning["level"]) == (7, ZONE, "warning")
    assert warning["certificate"]["subject"] == "CN=soon"
    assert warning["certificate"]["days_left"] == 4
    name = "originward_client_certificate_not_after_seconds{"
    ends = [line for line in metrics.splitlines() if line.startswith(name)]
    assert sorted("CN=soon" in line for line in ends) == [False, True]
    assert any(float(line.rsplit(" ", 1)[1]) == soon.certificate.not_valid_after_utc.timestamp() for line in ends)
