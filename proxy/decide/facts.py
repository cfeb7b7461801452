"""Facts: what the judges read of a certificate, parsed once from its DER and right by type from there on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from proxy.decide.der import read_policy_mappings

IPAddress = IPv4Address | IPv6Address
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_Values = dict[type[x509.ExtensionType], x509.ExtensionType]

_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for certificates that it cannot read; most of them are not ValueErrors."""


class MalformedCertificateError(ValueError):
    """A certificate that cannot be read; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key's type (``RSA``, ``EC``, ``Ed25519``, ``Ed448``, ``DSA``, ``other``), curve and size in bits."""

    kind: str
    curve: str | None
    bits: int

    def __str__(self) -> str:
        """Name the key as an operator would: ``RSA 2048``, ``EC secp256r1``, ``Ed25519``."""
        if self.kind == "EC":
            return f"EC {self.curve}"
        return f"{self.kind} {self.bits}" if self.kind in ("RSA", "DSA") else self.kind


@dataclass(frozen=True, slots=True)
class PolicyTerms:
    """What a certificate says about certificate policies (RFC 5280, sections 4.2.1.4, 4.2.1.5, 4.2.1.11 and 4.2.1.14).

    Policies are dotted object identifiers; ``policies`` is None where the extension is absent. A mapping leads from an
    issuer's policy to a subject's. The numbers are those of certificates that may follow before the term holds.
    """

    policies: frozenset[str] | None
    mappings: tuple[tuple[str, str], ...]
    require_explicit: int | None
    inhibit_mapping: int | None
    inhibit_any: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """What one certificate says. Times are Unix seconds, fingerprints lower-case hexadecimal SHA-256.

    ``eku`` is None where the extension is absent; the object identifiers are dotted strings. ``subject`` and
    ``issuer`` are RFC 4514 strings. All of it is the certificate's own claim: text in it is hostile.
    """

    der: bytes
    fingerprint: str
    spki_sha256: str
    subject: str
    issuer: str
    serial: int
    not_before: float
    not_after: float
    san_dns: tuple[str, ...]
    san_uri: tuple[str, ...]
    san_email: tuple[str, ...]
    san_ip: tuple[IPAddress, ...]
    eku: frozenset[str] | None
    digital_signature: bool
    is_ca: bool
    policy_terms: PolicyTerms
    key: PublicKey
    signature_hash: str | None
    x509: x509.Certificate


def read_certificate(der: bytes) -> Certificate:
    """Read one DER certificate (RFC 5280).

    Raises MalformedCertificateError where it, or one of the extensions that judges read, cannot be parsed.
    """
    try:
        return _read(x509.load_der_x509_certificate(der), der)
    except _UNREADABLE as fault:
        raise MalformedCertificateError(f"the certificate cannot be parsed: {fault}") from fault


def _read(cert: x509.Certificate, der: bytes) -> Certificate:
    extensions = cert.extensions
    values: _Values = {type(extension.value): extension.value for extension in extensions}
    san = _extension(values, x509.SubjectAlternativeName)
    eku = _extension(values, x509.ExtendedKeyUsage)
    usage = _extension(values, x509.KeyUsage)
    basic = _extension(values, x509.BasicConstraints)
    return Certificate(
        der=der,
        fingerprint=hashlib.sha256(der).hexdigest(),
        spki_sha256=_spki_sha256(cert),
        subject=cert.subject.rfc4514_string(),
        issuer=cert.issuer.rfc4514_string(),
        serial=cert.serial_number,
        not_before=cert.not_valid_before_utc.timestamp(),
        not_after=cert.not_valid_after_utc.timestamp(),
        san_dns=_names(san, x509.DNSName),
        san_uri=_names(san, x509.UniformResourceIdentifier),
        san_email=_names(san, x509.RFC822Name),
        san_ip=_addresses(san),
        eku=None if eku is None else frozenset(oid.dotted_string for oid in eku),
        digital_signature=usage is None or usage.digital_signature,
        is_ca=basic is not None and basic.ca,
        policy_terms=_policy_terms(values, extensions),
        key=_public_key(cert),
        signature_hash=_signature_hash(cert),
        x509=cert,
    )


def _extension(values: _Values, kind: type[_Extension]) -> _Extension | None:
    value = values.get(kind)
    return value if isinstance(value, kind) else None


def _names(
    san: x509.SubjectAlternativeName | None,
    kind: type[x509.DNSName | x509.UniformResourceIdentifier | x509.RFC822Name],
) -> tuple[str, ...]:
    return () if san is None else tuple(name.value for name in san if isinstance(name, kind))


def _addresses(san: x509.SubjectAlternativeName | None) -> tuple[IPAddress, ...]:
    """Single addresses only: a network in a leaf's SAN names nobody."""
    if san is None:
        return ()
    values = (name.value for name in san if isinstance(name, x509.IPAddress))
    return tuple(value for value in values if isinstance(value, IPv4Address | IPv6Address))


def _policy_terms(values: _Values, extensions: x509.Extensions) -> PolicyTerms:
    policies = _extension(values, x509.CertificatePolicies)
    constraints = _extension(values, x509.PolicyConstraints)
    inhibit_any = _extension(values, x509.InhibitAnyPolicy)
    return PolicyTerms(
        policies=None if policies is None else frozenset(p.policy_identifier.dotted_string for p in policies),
        mappings=_policy_mappings(extensions),
        require_explicit=None if constraints is None else constraints.require_explicit_policy,
        inhibit_mapping=None if constraints is None else constraints.inhibit_policy_mapping,
        inhibit_any=None if inhibit_any is None else inhibit_any.skip_certs,
    )


def _policy_mappings(extensions: x509.Extensions) -> tuple[tuple[str, str], ...]:
    """Read the one extension of RFC 5280, section 6.1, that cryptography does not know."""
    for extension in extensions:
        if extension.oid == ExtensionOID.POLICY_MAPPINGS:
            return read_policy_mappings(extension.value.public_bytes())
    return ()


def _spki_sha256(cert: x509.Certificate) -> str:
    spki = cert.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def _public_key(cert: x509.Certificate) -> PublicKey:
    match cert.public_key():
        case rsa.RSAPublicKey() as key:
            return PublicKey("RSA", None, key.key_size)
        case ec.EllipticCurvePublicKey() as key:
            return PublicKey("EC", key.curve.name, key.key_size)
        case ed25519.Ed25519PublicKey():
            return PublicKey("Ed25519", None, 256)
        case ed448.Ed448PublicKey():
            return PublicKey("Ed448", None, 456)
        case dsa.DSAPublicKey() as key:
            return PublicKey("DSA", None, key.key_size)
        case _:
            return PublicKey("other", None, 0)


def _signature_hash(cert: x509.Certificate) -> str | None:
    """Name the hash, or None where the signature algorithm brings its own (Ed25519, Ed448)."""
    algorithm = cert.signature_hash_algorithm
    return None if algorithm is None else algorithm.name
