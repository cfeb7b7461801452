"""Certificates for tests: made in memory, with everything that a judge looks at as an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proxy.decide.facts import Certificate, read_certificate
from proxy.decide.verdict import Identity

NOW: Final = 1_800_000_000.0
"""Unix time in seconds at which tests judge: 15 January 2027, 08:00 UTC."""

DAY: Final = 86_400.0
CLIENT: Final = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER: Final = (ExtendedKeyUsageOID.SERVER_AUTH,)

SignatureHash = hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key."""

    certificate: Certificate
    key: CertificateIssuerPrivateKeyTypes


def name(common_name: str, *, organization: str | None = None, units: Iterable[str] = ()) -> x509.Name:
    """Make a name, also from text that no CA should sign."""
    pairs = [(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    pairs += [(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    pairs += [(NameOID.COMMON_NAME, common_name)] if common_name else []
    return x509.Name([x509.NameAttribute(oid, value, _validate=False) for oid, value in pairs])


def make_ca(
    common_name: str = "Test CA",
    issuer: Issued | None = None,
    *,
    subject: x509.Name | None = None,
    path_length: int | None = None,
    not_before: float = NOW - 1000 * DAY,
    not_after: float = NOW + 1000 * DAY,
    eku: Iterable[x509.ObjectIdentifier] | None = None,
    key: CertificateIssuerPrivateKeyTypes | None = None,
    is_ca: bool = True,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
) -> Issued:
    """Make a root, or an intermediate where there is an ``issuer``."""
    added: list[tuple[x509.ExtensionType, bool]] = [
        *extensions,
        (x509.BasicConstraints(ca=is_ca, path_length=path_length if is_ca else None), True),
        (_usage(sign_certificates=True), True),
    ]
    return _issue(subject or name(common_name), issuer, key, not_before, not_after, added, eku, hashes.SHA256())


def make_leaf(
    issuer: Issued | None,
    common_name: str = "client",
    *,
    subject: x509.Name | None = None,
    dns: Iterable[str] = (),
    uris: Iterable[str] = (),
    emails: Iterable[str] = (),
    ips: Iterable[str] = (),
    eku: Iterable[x509.ObjectIdentifier] | None = CLIENT,
    not_before: float = NOW - 10 * DAY,
    not_after: float = NOW + 10 * DAY,
    key: CertificateIssuerPrivateKeyTypes | None = None,
    digital_signature: bool = True,
    serial: int | None = None,
    signature_hash: SignatureHash | None = None,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
) -> Issued:
    """Make a client's certificate; without an ``issuer`` it signs itself."""
    names: list[x509.GeneralName] = [
        *(x509.DNSName._init_without_validation(value) for value in dns),
        *(x509.UniformResourceIdentifier._init_without_validation(value) for value in uris),
        *(x509.RFC822Name._init_without_validation(value) for value in emails),
        *(x509.IPAddress(ip_address(value)) for value in ips),
    ]
    added = [(_usage(digital_signature=digital_signature), True), *extensions]
    if names:
        added.append((x509.SubjectAlternativeName(names), False))
    subject = name(common_name) if subject is None else subject
    return _issue(
        subject, issuer, key, not_before, not_after, added, eku, signature_hash or hashes.SHA256(), serial,
    )


def identity_of(leaf: Issued, *issuers: Issued) -> Identity:
    """Make the identity that a chain check would have made of these certificates."""
    return Identity(leaf.certificate, tuple(issuer.certificate for issuer in issuers), "test")


def _issue(  # noqa: PLR0917 - the fields of a certificate, in their order
    subject: x509.Name,
    issuer: Issued | None,
    key: CertificateIssuerPrivateKeyTypes | None,
    not_before: float,
    not_after: float,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
    eku: Iterable[x509.ObjectIdentifier] | None,
    signature_hash: SignatureHash,
    serial: int | None = None,
) -> Issued:
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.x509.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(not_after, UTC))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    if eku is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(eku), critical=False)
    own_hash = not isinstance(signer, ec.EllipticCurvePrivateKey) and not hasattr(signer, "key_size")
    certificate = builder.sign(signer, None if own_hash else signature_hash)
    return Issued(read_certificate(certificate.public_bytes(Encoding.DER)), key)


def _usage(*, digital_signature: bool = True, sign_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=not digital_signature,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
