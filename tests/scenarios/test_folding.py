"""A flood of equal refusals is one line and a count, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

from tests.support.harness import ProxyProcess, TlsClient
from tests.support.refusals import alert_of
from tests.support.site import ZONE, small_site


def test_equal_refusals_are_one_line_and_a_count(tmp_path: Path) -> None:
    """A CDN tries three times: the first is a full line, the others a number, at the latest when the proxy stops."""
    config, _ = small_site(tmp_path, 9)
    proxy = ProxyProcess(config)
    try:
        for _ in range(3):
            with TlsClient(proxy.port, ZONE) as client:
                assert alert_of(client) == "certificate_required"
        with TlsClient(proxy.port, "other.example") as client:
            assert alert_of(client) == "unrecognized_name"
        assert 'originward_handshakes_refused_total{reason="no-certificate"} 3' in proxy.metrics()
    finally:
        assert proxy.stop() == 0
    refused = [line for line in proxy.lines if line["event"] == "handshake.refused"]
    assert [(line["reason"], line.get("folded")) for line in refused] == [
        ("no-certificate", None),
        ("unknown-host", None),
        ("no-certificate", 2),
    ]
    assert refused[2]["first"] <= refused[2]["last"]
    assert refused[2]["sni"] == ZONE
