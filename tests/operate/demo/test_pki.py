"""The demo's certificate authority makes what it is asked for, and the judges read it so."""

from __future__ import annotations

import time
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from proxy.decide.facts import Certificate, read_certificate
from proxy.decide.peer.chain import Bundle, peer_of, verify
from proxy.decide.verdict import Reason, Refused
from proxy.operate.demo import pki


def facts(certificate: x509.Certificate) -> Certificate:
    """Read a certificate as the judges do."""
    return read_certificate(certificate.public_bytes(Encoding.DER))


def judged(credential: pki.Credential, anchor: pki.Authority) -> tuple[Certificate, ...] | Refused:
    """Judge a credential's chain against one anchor, now."""
    peer = peer_of(facts(certificate) for certificate in credential.chain)
    return verify(peer, Bundle("test", (facts(anchor.certificate),)), time.time())


def test_every_type_of_name_is_written_and_read() -> None:
    """Names keep their type on the way through a certificate."""
    leaf = pki.Leaf(
        dns=("a.example", "*.b.example"), uri=("spiffe://a.example/x",), email=("a@b.example",), ip=("::1", "192.0.2.1")
    )
    read = facts(pki.Authority.root("ca").issue(leaf).certificate)
    assert read.san_dns == ("a.example", "*.b.example")
    assert read.san_uri == ("spiffe://a.example/x",)
    assert read.san_email == ("a@b.example",)
    assert read.san_ip == (ip_address("::1"), ip_address("192.0.2.1"))


def test_a_distinguished_name_has_the_given_attributes_only() -> None:
    """Empty attributes are left out, units may repeat."""
    name = pki.distinguished_name("edge", organization="Example", units=("one", "two"))
    assert name.rfc4514_string() == "CN=edge,OU=two,OU=one,O=Example"


@pytest.mark.parametrize(
    ("eku", "expected"),
    [
        (pki.CLIENT, {ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string}),
        (pki.SERVER, {ExtendedKeyUsageOID.SERVER_AUTH.dotted_string}),
        (None, None),
    ],
)
def test_the_extended_key_usage_is_as_asked(
    eku: tuple[x509.ObjectIdentifier, ...] | None, expected: set[str] | None
) -> None:
    """None leaves the extension out."""
    read = facts(pki.Authority.root("ca").issue(pki.Leaf(subject="x", eku=eku)).certificate)
    assert read.eku == expected


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (None, "EC secp256r1"),
        (pki.ec_key(ec.SECP384R1()), "EC secp384r1"),
        (pki.rsa_key(2048), "RSA 2048"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ],
    ids=["default", "P-384", "RSA", "Ed25519"],
)
def test_each_kind_of_key_makes_an_authority_and_a_leaf(key: pki.PrivateKey | None, shown: str) -> None:
    """The same key may serve as a CA's and as a leaf's."""
    root = pki.Authority.root("ca", key=key)
    credential = root.issue(pki.Leaf(subject="x", key=key))
    assert str(facts(root.certificate).key) == shown
    assert str(facts(credential.certificate).key) == shown


def test_a_chain_over_intermediates_reaches_its_root_and_no_other() -> None:
    """A rogue hierarchy with the same names is not the same hierarchy."""
    root, rogue = pki.Authority.root("root"), pki.Authority.root("root")
    credential = root.intermediate("one").intermediate("two", path_length=0).issue(pki.Leaf(subject="x"))
    assert len(credential.chain) == 3
    chain = judged(credential, root)
    assert not isinstance(chain, Refused)
    assert [certificate.subject for certificate in chain] == ["CN=x", "CN=two", "CN=one", "CN=root"]
    refusal = judged(credential, rogue)
    assert isinstance(refusal, Refused)
    assert refusal.reason is Reason.UNTRUSTED_ISSUER


@pytest.mark.parametrize(
    ("leaf", "reason"),
    [
        (pki.Leaf(window=pki.Window.around_now(timedelta(days=9), -timedelta(days=1))), Reason.EXPIRED),
        (pki.Leaf(window=pki.Window.around_now(-timedelta(days=1), timedelta(days=9))), Reason.NOT_YET_VALID),
        (pki.Leaf(eku=pki.SERVER), Reason.WRONG_PURPOSE),
    ],
)
def test_a_leaf_that_is_made_wrong_is_refused_for_that(leaf: pki.Leaf, reason: Reason) -> None:
    """Windows and purposes arrive where the judges look for them."""
    root = pki.Authority.root("root")
    refusal = judged(root.issue(leaf), root)
    assert isinstance(refusal, Refused)
    assert refusal.reason is reason


def test_further_extensions_are_added_with_their_criticality() -> None:
    """An extension that nobody knows can be asked for, to see it refused."""
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
    certificate = pki.Authority.root("ca").issue(pki.Leaf(subject="x", extra=((unknown, True),))).certificate
    assert certificate.extensions.get_extension_for_oid(unknown.oid).critical


def test_written_files_hold_the_chain_and_a_key_that_only_the_owner_reads(tmp_path: Path) -> None:
    """The key's mode is narrowed also where the file was there before."""
    (tmp_path / "key.pem").write_bytes(b"old")
    (tmp_path / "key.pem").chmod(0o644)
    credential = pki.Authority.root("root").intermediate("ca").issue(pki.Leaf(subject="x"))
    files = credential.write(tmp_path)
    assert tuple(x509.load_pem_x509_certificates(files.chain.read_bytes())) == credential.chain
    assert files.key.stat().st_mode & 0o777 == 0o600
    key = load_pem_private_key(files.key.read_bytes(), None)
    assert key.public_key() == credential.certificate.public_key()


def test_an_authority_writes_its_certificate_and_never_its_key(tmp_path: Path) -> None:
    """An anchor file is for others to read."""
    root = pki.Authority.root("root")
    path = root.write(tmp_path / "trust" / "root.pem")
    assert path.read_bytes() == pki.pem(root.certificate)
    assert "key=" not in repr(root)
