"""Credentials: certificates and keys out of octets, and what is said of octets that are neither."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from proxy.snapshot.credentials import (
    CredentialError,
    anchor_fault,
    chain_fault,
    distinct,
    matches,
    read_certificates,
    read_private_key,
)
from tests.support.certificates import Issued, make_ca, make_leaf
from tests.support.furnish import key_pem, pem

ROOT = make_ca("Root")
MIDDLE = make_ca("Middle", ROOT)
LEAF = make_leaf(MIDDLE, "leaf")
DER = LEAF.certificate.der
RSA = rsa.generate_private_key(65537, 2048)


def form(key: object, format_: PrivateFormat = PrivateFormat.PKCS8, encoding: Encoding = Encoding.PEM) -> bytes:
    """Write a private key without a pass phrase."""
    return key.private_bytes(encoding, format_, NoEncryption())


def names(data: bytes, *, beside_key: bool = False) -> list[str]:
    """Return the subjects of the certificates in ``data``."""
    return [cert.subject for cert in read_certificates(data, beside_key=beside_key)]


@pytest.mark.parametrize(
    ("data", "subjects"),
    [
        (pem(LEAF), ["CN=leaf"]),
        (pem(LEAF) + pem(MIDDLE), ["CN=leaf", "CN=Middle"]),
        (DER, ["CN=leaf"]),
        (b"Subject: leaf\n" + pem(LEAF) + b"\ntext\n" + pem(ROOT), ["CN=leaf", "CN=Root"]),
        (pem(LEAF).replace(b"\n", b"\r\n"), ["CN=leaf"]),
        (pem(LEAF).replace(b" CERTIFICATE", b" X509 CERTIFICATE"), ["CN=leaf"]),
    ],
)
def test_certificates_are_read_in_their_order(data: bytes, subjects: list[str]) -> None:
    """PEM with text around it, or one DER."""
    assert names(data) == subjects


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"hello", "neither PEM nor one DER certificate"),
        (DER + b"x", "neither PEM nor one DER certificate"),
        (DER[:-1], "neither PEM nor one DER certificate"),
        (pem(LEAF)[:-20], r"block 1 \(BEGIN CERTIFICATE\) has no END line; the file is cut off"),
        (pem(LEAF) + pem(ROOT)[:100], r"block 2 \(BEGIN CERTIFICATE\) has no END line"),
        (pem(LEAF).replace(b"MII", b"M!I"), "block 1 is not base64"),
        (pem(LEAF) + pem(ROOT).replace(b"MII", b"MIJ"), "certificate 2 of 2: the certificate cannot be parsed"),
        (pem(LEAF) + key_pem(LEAF), "block 2 is a PRIVATE KEY; only CERTIFICATE belongs here"),
        (pem(LEAF).replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"), "block 1 is a TRUSTED CERTIFICATE"),
        (pem(LEAF).replace(b" CERTIFICATE", b" X509 CRL"), "block 1 is a X509 CRL"),
    ],
)
def test_nothing_in_a_bundle_is_passed_over(data: bytes, words: str) -> None:
    """A block that is left out in silence is a client locked out, or a check that is not made."""
    with pytest.raises(CredentialError, match=words):
        read_certificates(data)


def test_a_chain_may_stand_beside_its_key() -> None:
    """As HAProxy and certbot's users keep it."""
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert names(parameters + key_pem(LEAF) + pem(LEAF), beside_key=True) == ["CN=leaf"]


def test_a_key_alone_is_no_chain() -> None:
    """The two paths were swapped."""
    with pytest.raises(CredentialError, match="holds no certificate"):
        read_certificates(key_pem(LEAF), beside_key=True)


@pytest.mark.parametrize(
    "data",
    [
        key_pem(LEAF),
        form(LEAF.key, PrivateFormat.TraditionalOpenSSL),
        form(LEAF.key, encoding=Encoding.DER),
        form(RSA),
        form(RSA, PrivateFormat.TraditionalOpenSSL),
        pem(LEAF) + key_pem(LEAF),
    ],
)
def test_a_private_key_is_read(data: bytes) -> None:
    """RSA or EC, in the forms that openssl and certbot write."""
    assert isinstance(read_private_key(data), rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)


ENCRYPTED = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (ENCRYPTED, "is encrypted; decrypt it"),
        (b"", "not a private key"),
        (b"s3cret", "not a private key"),
        (pem(LEAF), "not a private key"),
        pytest.param(key_pem(LEAF)[:100], "not a private key", id="cut short"),
        (form(ed25519.Ed25519PrivateKey.generate()), "neither RSA nor ECDSA"),
    ],
)
def test_what_is_no_usable_key_is_refused_without_showing_it(data: bytes, words: str) -> None:
    """The sentence says what to do; nothing of the file is in it."""
    with pytest.raises(CredentialError, match=words) as caught:
        read_private_key(data)
    assert not any(line.decode() in str(caught.value) for line in data.splitlines() if line)


@pytest.mark.parametrize(
    ("issued", "words"),
    [
        (ROOT, None),
        (MIDDLE, None),
        (LEAF, "it is no CA certificate"),
        (make_ca("not a CA", is_ca=False), "it is no CA certificate"),
        (make_leaf(None, "self-signed"), "it is no CA certificate"),
        (make_leaf(None, "no cert sign", extensions=[(x509.BasicConstraints(True, None), True)]), "lacks keyCertSign"),
    ],
)
def test_an_anchor_is_a_certificate_that_may_sign_others(issued: Issued, words: str | None) -> None:
    """A root or an intermediate; basic constraints and key usage have to say so."""
    fault = anchor_fault(issued.certificate)
    assert fault is None if words is None else words in str(fault)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ((LEAF,), None),
        ((LEAF, MIDDLE), None),
        ((LEAF, MIDDLE, ROOT), None),
        ((MIDDLE, LEAF), "certificate 2 (CN=leaf) did not issue certificate 1 (CN=Middle)"),
        ((LEAF, ROOT, MIDDLE), "certificate 2 (CN=Root) did not issue certificate 1 (CN=leaf)"),
        ((LEAF, make_ca("Middle", ROOT)), "certificate 2 (CN=Middle) did not issue certificate 1"),
    ],
)
def test_a_chain_is_leaf_first_and_each_next_one_the_issuer(order: tuple[Issued, ...], words: str | None) -> None:
    """By signature, not by name."""
    fault = chain_fault(tuple(issued.certificate for issued in order))
    assert fault is None if words is None else str(fault).startswith(words)


def test_a_key_matches_its_own_certificate_only() -> None:
    """By the public half."""
    assert matches(LEAF.key, LEAF.certificate)
    assert not matches(ROOT.key, LEAF.certificate)
    assert not matches(RSA, LEAF.certificate)


def test_repeated_certificates_are_dropped_in_place() -> None:
    """Identical ones only; two certificates of one name both stay."""
    twin = make_ca("Root")
    order = [cert.certificate for cert in (ROOT, MIDDLE, ROOT, twin, MIDDLE)]
    assert distinct(order) == (ROOT.certificate, MIDDLE.certificate, twin.certificate)


@given(st.data())
def test_damaged_files_give_values_or_credential_errors(data: st.DataObject) -> None:
    """Cut and overwritten anywhere, PEM and DER, certificates and keys."""
    good = data.draw(st.sampled_from([pem(LEAF) + pem(ROOT), DER, key_pem(LEAF), form(RSA, encoding=Encoding.DER)]))
    start = data.draw(st.integers(0, len(good)))
    damaged = good[:start] + data.draw(st.binary(max_size=4)) + good[start + data.draw(st.integers(0, 4)) :]
    for parse in (read_certificates, read_private_key):
        try:
            assert parse(damaged)
        except CredentialError as fault:
            assert str(fault)  # noqa: PT017 - either outcome is right, an empty message is not
