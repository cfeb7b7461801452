"""What the handshake settled stays settled: TLS 1.2 clients cannot renegotiate."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from proxy.operate.demo.pki import Leaf
from tests.support.harness import TlsClient
from tests.support.site import Site, host

NAME = host("required")


def test_a_client_that_renegotiates_is_told_no(site: Site) -> None:
    """A second ClientHello on an established connection gets the alert no_renegotiation, and at once."""
    client = TlsClient(site.proxy.port, NAME, site.cdn.issue(Leaf(subject="edge")), tls12=True).handshake()
    with client:
        assert client.get("/", NAME).status == 200
        assert client.tls.renegotiate()
        with pytest.raises(SSL.Error, match="no renegotiation"):
            client._drive(client.tls.do_handshake)
