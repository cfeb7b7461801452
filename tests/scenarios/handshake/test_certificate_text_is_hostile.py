"""What a certificate says is text by a stranger: it breaks out of no line and no header."""

from __future__ import annotations

import pytest
from cryptography import x509

from proxy.operate.demo.pki import Leaf
from tests.support.forged import HOSTILE, hostile_name
from tests.support.harness import TlsClient
from tests.support.refusals import alert_of
from tests.support.site import Site, host

LEAF = Leaf(
    subject=hostile_name(),
    others=(
        x509.UniformResourceIdentifier._init_without_validation('spiffe://x/\r\nX-Admin:\tyes;Hash=1,"By=\x1b'),
        x509.DNSName._init_without_validation("a\r\nX-Admin: yes"),
    ),
)


@pytest.mark.parametrize("name", ["dns", "headers"], ids=["refused", "accepted"])
def test_a_line_of_the_log_stays_one_line_of_json(site: Site, name: str) -> None:
    """No control, no bidirectional override and no line break survives; quotes are escaped by JSON."""
    address = site.address()
    with TlsClient(site.proxy.port, host(name), site.cdn.issue(LEAF), source=address) as client:
        alert_of(client) if name == "dns" else client.handshake()
        line = site.line("handshake.refused" if name == "dns" else "handshake.accepted", address)
    subject = line["certificate"]["subject"]
    assert "X-Admin" in subject
    assert "txt.exe" in subject
    assert all(text.isprintable() for text in (subject, *line["certificate"]["san"], str(line.get("detail"))))


def test_no_header_of_the_app_is_split(site: Site) -> None:
    """Every family of identity headers carries the name on one line, and no header is the stranger's own."""
    with TlsClient(site.proxy.port, host("headers"), site.cdn.issue(LEAF)).handshake() as client:
        assert client.get("/hostile", host("headers")).status == 200
    seen = site.seen("/hostile")
    assert seen.header("x-admin") is None
    names = {name for name, _ in seen.fields}
    assert {"client-cert", "x-forwarded-client-cert", "x-ssl-client-s-dn"} <= names
    assert seen.raw.count(b"\r") == seen.raw.count(b"\n") == seen.raw.count(b"\r\n")
    assert not set(seen.raw.replace(b"\r\n", b"")) & {*range(32), *range(127, 256)}
    assert HOSTILE.encode() not in seen.raw
