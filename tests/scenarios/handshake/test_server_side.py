"""What the server offers: two kinds of certificate, four groups, ECDHE with AEAD, HTTP/1.1, and nothing else."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from proxy.accept.tls import lib
from proxy.operate.demo.pki import Leaf, rsa_key
from tests.support.harness import TlsClient
from tests.support.refusals import alert_of
from tests.support.site import Site, host

RSA = rsa_key()
HTTP11 = b"http/1.1"


@pytest.mark.parametrize("tls12", [True, False], ids=["1.2", "1.3"])
@pytest.mark.parametrize(("name", "kind"), [("required", ec.EllipticCurvePublicKey), ("rsa", rsa.RSAPublicKey)])
def test_both_kinds_of_certificate_serve_both_versions(site: Site, name: str, kind: type[object], tls12: bool) -> None:
    """The log names the version and the cipher suite."""
    address = site.address()
    credential = site.cdn.issue(Leaf(subject="edge"))
    with TlsClient(site.proxy.port, host(name), credential, tls12=tls12, source=address).handshake() as client:
        assert client.get("/", host(name)).status == 200
        certificate = client.tls.get_peer_certificate(as_cryptography=True)
        assert isinstance(certificate.public_key(), kind)
    line = site.line("handshake.accepted", address)
    assert line["tls"] == ("TLSv1.2" if tls12 else "TLSv1.3")
    assert line["cipher"].endswith("AES128-GCM-SHA256" if tls12 else "TLS_AES_128_GCM_SHA256")


@pytest.mark.parametrize(
    ("group", "tls12", "logged"),
    [
        ("X25519MLKEM768", False, "X25519MLKEM768"),
        ("X25519", False, "x25519"),
        ("P-256", False, "secp256r1"),
        ("P-384", False, "secp384r1"),
        ("X25519", True, "x25519"),
        ("P-256", True, "secp256r1"),
        ("P-384", True, "secp384r1"),
    ],
)
def test_each_group_is_negotiated_and_logged(site: Site, group: str, tls12: bool, logged: str) -> None:
    """A client that has one group only gets that one; in TLS 1.2 it could not take an ECDSA certificate of another."""
    address = site.address()
    client = TlsClient(
        site.proxy.port, host("rsa"), site.cdn.issue(Leaf(subject="edge", key=RSA)), tls12=tls12, source=address,
        prepare=lambda context: lib.SSL_CTX_set1_curves_list(context._context, group.encode()),
    )  # fmt: skip
    with client.handshake():
        assert client.get("/", host("rsa")).status == 200
    assert site.line("handshake.accepted", address)["group"] == logged


def test_a_client_of_today_gets_the_post_quantum_group(site: Site) -> None:
    """What OpenSSL's own defaults come to."""
    address = site.address()
    with TlsClient(site.proxy.port, host("public"), source=address).handshake() as client:
        assert client.get("/", host("public")).status == 200
    assert site.line("handshake.accepted", address)["group"] == "X25519MLKEM768"


@pytest.mark.parametrize(
    ("name", "suite", "taken"),
    [
        ("required", "ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("required", "ECDHE-ECDSA-AES256-GCM-SHA384", True),
        ("required", "ECDHE-ECDSA-CHACHA20-POLY1305", True),
        ("rsa", "ECDHE-RSA-AES128-GCM-SHA256", True),
        ("rsa", "ECDHE-RSA-CHACHA20-POLY1305", True),
        ("required", "ECDHE-ECDSA-AES128-SHA256", False),
        ("required", "ECDHE-ECDSA-AES256-SHA", False),
        ("required", "ECDHE-ECDSA-AES128-CCM8", False),
        ("rsa", "ECDHE-RSA-AES128-SHA", False),
        ("rsa", "AES128-GCM-SHA256", False),
        ("rsa", "DHE-RSA-AES128-GCM-SHA256", False),
        ("required", "ECDHE-ECDSA-NULL-SHA", False),
    ],
)
def test_forward_secrecy_and_aead_or_nothing(site: Site, name: str, suite: str, taken: bool) -> None:
    """TLS 1.2 comes with ECDHE and AES-GCM or ChaCha20."""
    address = site.address()

    def prepare(context: SSL.Context) -> None:
        context.set_cipher_list(f"{suite}:@SECLEVEL=0".encode())

    credential = site.cdn.issue(Leaf(subject="edge"))
    client = TlsClient(site.proxy.port, host(name), credential, tls12=True, source=address, prepare=prepare)
    with client:
        if taken:
            assert client.handshake().get("/", host(name)).status == 200
            assert site.line("handshake.accepted", address)["cipher"] == suite
        else:
            assert alert_of(client) == "handshake_failure"
            assert site.line("handshake.refused", address)["reason"] == "no-shared-cipher"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(None, b""), ([b"http/1.1"], HTTP11), ([b"h2", b"http/1.1"], HTTP11), ([b"http/1.1", b"h2"], HTTP11)],
    ids=["none", "http/1.1", "h2 first", "h2 last"],
)
def test_http11_is_what_is_spoken(site: Site, offered: list[bytes] | None, chosen: bytes) -> None:
    """A client may leave ALPN out; where it offers HTTP/1.1 among others, that is chosen."""
    credential = site.cdn.issue(Leaf(subject="edge"))
    with TlsClient(site.proxy.port, host("required"), credential, alpn=offered).handshake() as client:
        assert client.tls.get_alpn_proto_negotiated() == chosen
        assert client.get("/", host("required")).status == 200


@pytest.mark.parametrize("offered", [[b"http/1.0"], [b"HTTP/1.1"], [b"http/1.1x"], [b"acme-tls/1"]])
def test_what_is_not_exactly_http11_is_no_common_protocol(site: Site, offered: list[bytes]) -> None:
    """ALPN names are compared octet by octet (RFC 7301, section 3.2)."""
    with TlsClient(site.proxy.port, host("public"), alpn=offered) as client:
        assert alert_of(client) == "no_application_protocol"
