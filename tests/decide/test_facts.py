"""Facts: what is read of a certificate, and that an unreadable one is an error and nothing else."""

from __future__ import annotations

import hashlib
import random
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.facts import MalformedCertificateError, PolicyTerms, read_certificate
from tests.support.certificates import CLIENT, DAY, NOW, make_ca, make_leaf, name

_CA = make_ca()
_DER = make_leaf(_CA, dns=["a.example"], uris=["spiffe://corp/a"], ips=["192.0.2.1"]).certificate.der
_SAN = x509.ObjectIdentifier("2.5.29.17")


def test_every_field_is_read() -> None:
    """A leaf with everything in it comes out with everything in it."""
    issued = make_leaf(
        _CA,
        subject=name("edge", organization="CDN", units=["A"]),
        dns=["a.example", "b.example"],
        uris=["spiffe://corp/a"],
        emails=["ops@partner.example"],
        ips=["192.0.2.1", "2001:db8::1"],
        serial=0xABC,
        not_before=NOW - DAY,
        not_after=NOW + DAY,
    )
    leaf = issued.certificate
    assert (leaf.subject, leaf.issuer, leaf.serial) == ("CN=edge,OU=A,O=CDN", "CN=Test CA", 0xABC)
    assert (leaf.not_before, leaf.not_after) == (NOW - DAY, NOW + DAY)
    assert leaf.san_dns == ("a.example", "b.example")
    assert leaf.san_uri == ("spiffe://corp/a",)
    assert leaf.san_email == ("ops@partner.example",)
    assert leaf.san_ip == (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
    assert leaf.eku == {CLIENT[0].dotted_string}
    assert (leaf.is_ca, leaf.digital_signature, leaf.signature_hash) == (False, True, "sha256")
    assert leaf.fingerprint == hashlib.sha256(leaf.der).hexdigest()
    spki = issued.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert leaf.spki_sha256 == hashlib.sha256(spki).hexdigest()


def test_policy_terms_are_read() -> None:
    """Names, mappings and constraints of certificate policies; what is absent is told from what is zero."""
    oid, mapping = x509.ObjectIdentifier("1.2.3"), bytes.fromhex("300a 3008 06022a03 06022a04")
    terms: list[tuple[x509.ExtensionType, bool]] = [
        (x509.CertificatePolicies([x509.PolicyInformation(oid, None)]), False),
        (x509.UnrecognizedExtension(ExtensionOID.POLICY_MAPPINGS, mapping), True),
        (x509.PolicyConstraints(0, None), True),
        (x509.InhibitAnyPolicy(3), True),
    ]
    full = make_ca(extensions=terms).certificate.policy_terms
    assert full == PolicyTerms(frozenset({"1.2.3"}), (("1.2.3", "1.2.4"),), 0, None, 3)
    assert make_ca().certificate.policy_terms == PolicyTerms(None, (), None, None, None)
    with pytest.raises(MalformedCertificateError, match="DER"):
        make_ca(extensions=[(x509.UnrecognizedExtension(ExtensionOID.POLICY_MAPPINGS, b"\x30"), True)])


def test_absent_extensions_are_absent() -> None:
    """No extended key usage is None, which is not the same as an empty one; no names are no names."""
    leaf = make_leaf(_CA, eku=None).certificate
    assert leaf.eku is None
    assert (leaf.san_dns, leaf.san_uri, leaf.san_email, leaf.san_ip) == ((), (), (), ())
    assert make_ca().certificate.is_ca


@pytest.mark.parametrize(
    ("key", "shown", "signature_hash"),
    [
        (rsa.generate_private_key(65537, 1024), "RSA 1024", "sha256"),  # noqa: S505 - weak keys are facts too
        (ec.generate_private_key(ec.SECP384R1()), "EC secp384r1", "sha256"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519", None),
        (ed448.Ed448PrivateKey.generate(), "Ed448", None),
        (dsa.generate_private_key(1024), "DSA 1024", "sha256"),  # noqa: S505
    ],
)
def test_keys_are_named_as_an_operator_would(
    key: CertificateIssuerPrivateKeyTypes, shown: str, signature_hash: str | None,
) -> None:
    """Each type of key has its name, and its certificate the hash that signed it."""
    leaf = make_leaf(None, key=key).certificate
    assert (str(leaf.key), leaf.signature_hash) == (shown, signature_hash)


def test_a_network_is_no_address() -> None:
    """An IP SAN with a mask, as name constraints have them, names nobody."""
    network = x509.UnrecognizedExtension(_SAN, bytes.fromhex("300a87080a000000ff000000"))
    assert make_leaf(_CA, extensions=[(network, False)]).certificate.san_ip == ()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("3004a3023000", id="x400 address"),
        pytest.param("3004a5023000", id="EDI party name"),
        pytest.param("300787050102030405", id="address of five octets"),
        pytest.param("300a87080a000000ff00ff00", id="mask with a hole"),
        pytest.param("7878", id="no sequence"),
        pytest.param("30038201e9", id="DNS name in Latin-1"),
        pytest.param("30038601ff", id="URI that is no UTF-8"),
    ],
)
def test_an_unreadable_name_is_a_malformed_certificate(value: str) -> None:
    """Names that cryptography cannot read are one error, whichever of its own it raises."""
    san = x509.UnrecognizedExtension(_SAN, bytes.fromhex(value))
    with pytest.raises(MalformedCertificateError, match="cannot be parsed"):
        make_leaf(_CA, extensions=[(san, False)])


@pytest.mark.parametrize(
    "der", [b"", b"0", b"hello", _DER[:-1], _DER + b"\0", _DER.replace(b"\xa0\3\2\1\2", b"\xa0\3\2\1\7")],
)
def test_what_is_no_certificate_is_malformed(der: bytes) -> None:
    """Too little, too much, and a version that does not exist."""
    with pytest.raises(MalformedCertificateError):
        read_certificate(der)


@pytest.mark.filterwarnings("ignore")
@given(st.randoms(use_true_random=False))
def test_a_damaged_certificate_is_read_or_malformed(chance: random.Random) -> None:
    """Whatever octets are damaged, nothing but MalformedCertificateError comes out."""
    der = bytearray(_DER)
    for _ in range(chance.randint(1, 3)):
        der[chance.randrange(len(der))] = chance.randrange(256)
    try:
        read = read_certificate(bytes(der)).der
    except MalformedCertificateError:
        read = bytes(der)
    assert read == bytes(der)
