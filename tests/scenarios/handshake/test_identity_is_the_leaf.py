"""Who a client is, is written in its leaf, in the field of the right type, and in nothing else that it sends."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.operate.demo.pki import Credential, Leaf, distinguished_name
from tests.support.harness import TlsClient
from tests.support.refusals import alert_of
from tests.support.site import Site, host

WANTED = "edge.example"


def test_a_certificate_that_was_sent_along_is_nobody(site: Site) -> None:
    """The name that the policy wants is in a certificate of the same authority, behind the leaf."""
    wanted = site.cdn.issue(Leaf(subject="victim", dns=(WANTED,)))
    own = site.cdn.issue(Leaf(subject="own", dns=("own.example",)))
    address = site.address()
    extra = Credential(own.certificate, own.key, (wanted.certificate,))
    with TlsClient(site.proxy.port, host("dns"), extra, source=address) as client:
        assert alert_of(client) == "bad_certificate"
    line = site.line("handshake.refused", address)
    assert line["reason"] == "name-not-allowed"
    assert line["certificate"]["subject"] == "CN=own"


def test_the_app_gets_the_leaf_and_its_path_and_nothing_that_was_sent_along(site: Site) -> None:
    """Client-Cert is the leaf; Client-Cert-Chain are the verified issuers (RFC 9440, section 2.3)."""
    other = site.cdn.issue(Leaf(subject="other"))
    own = site.cdn.intermediate("between").issue(Leaf(subject="own"))
    extra = Credential(own.certificate, own.key, (other.certificate, *own.intermediates))
    with TlsClient(site.proxy.port, host("required"), extra).handshake() as client:
        assert client.get("/identity", host("required")).status == 200
    seen = site.seen("/identity")
    shown = (seen.header("client-cert") or "") + (seen.header("client-cert-chain") or "")
    assert der(own.certificate) in (seen.header("client-cert") or "")
    assert der(own.intermediates[0]) in shown
    assert der(other.certificate) not in shown


def der(certificate: object) -> str:
    """Return a certificate in base64."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "leaf",
    [
        Leaf(subject=distinguished_name(WANTED)),
        Leaf(subject="x", uri=(WANTED,)),
        Leaf(subject="x", uri=(f"spiffe://{WANTED}",)),
        Leaf(subject="x", uri=(f"dns:{WANTED}",)),
        Leaf(subject="x", email=(f"a@{WANTED}",)),
        Leaf(subject="x", dns=(f"{WANTED}.evil.example",)),
        Leaf(subject="x", dns=(f"a.{WANTED}",)),
        Leaf(subject="x", dns=("*.example",)),
        Leaf(subject="x", dns=("**",)),
    ],
    ids=["CN", "URI", "URI host", "URI scheme", "email", "suffix", "label", "wildcard", "stars"],
)
def test_a_name_of_another_type_or_shape_is_another_name(site: Site, leaf: Leaf) -> None:
    """san_dns compares DNS names with DNS names; patterns are the policy's, never the certificate's."""
    address = site.address()
    with TlsClient(site.proxy.port, host("dns"), site.cdn.issue(leaf), source=address) as client:
        assert alert_of(client) == "bad_certificate"
    assert site.line("handshake.refused", address)["reason"] == "name-not-allowed"


def test_the_wanted_name_is_admitted(site: Site) -> None:
    """The same site does let the right client in."""
    credential = site.cdn.issue(Leaf(subject="x", dns=(WANTED,)))
    with TlsClient(site.proxy.port, host("dns"), credential).handshake() as client:
        assert client.get("/", host("dns")).status == 200


def test_the_system_root_store_is_never_used(site: Site) -> None:
    """SSL_CERT_FILE and SSL_CERT_DIR name an authority that OpenSSL would trust by default; no bundle does."""
    address = site.address()
    credential = site.system.issue(Leaf(subject="system"))
    with TlsClient(site.proxy.port, host("required"), credential, source=address) as client:
        assert alert_of(client) == "unknown_ca"
    assert site.line("handshake.refused", address)["reason"] == "untrusted-issuer"
