"""A small certificate authority for the demo, the scenarios and the benchmarks.

It is no product: what it signs is thrown away with the folder it was written to. An authority is a value; issuing
makes new values and touches no file until something is written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA224, SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
Digest = SHA224 | SHA256 | SHA384 | SHA512
Extensions = tuple[tuple[x509.ExtensionType, bool], ...]
"""Further extensions, each with its criticality."""

CLIENT: Final = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER: Final = (ExtendedKeyUsageOID.SERVER_AUTH,)

AUTHORITY_LIFE: Final = timedelta(days=3650)
"""Ten years, half of them past, so that judgements at other times can be tried."""

LEAF_LIFE: Final = timedelta(days=30)
"""Long enough for a demo that is kept, short enough to be useless when it leaks."""

CLOCK_SKEW: Final = timedelta(hours=1)
"""How far back a leaf starts, so that a container with a slow clock accepts it too."""

KEY_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Window:
    """When a certificate is valid: two aware times, both included."""

    start: datetime
    end: datetime

    @classmethod
    def around_now(cls, before: timedelta, after: timedelta) -> Window:
        """Return the window from ``before`` ago until ``after`` from now; negative spans work too."""
        now = datetime.now(UTC)
        return cls(now - before, now + after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What is to be in an end-entity certificate.

    ``eku`` is None for no extended key usage at all. ``others`` are further subject alternative names. ``key`` None
    makes a new P-256 key.
    """

    subject: x509.Name | str = ""
    dns: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    email: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    others: tuple[x509.GeneralName, ...] = ()
    eku: tuple[ObjectIdentifier, ...] | None = CLIENT
    window: Window = field(default_factory=lambda: Window.around_now(CLOCK_SKEW, LEAF_LIFE))
    key: PrivateKey | None = None
    extra: Extensions = ()
    signature_hash: Digest = field(default_factory=SHA256)

    def names(self) -> tuple[x509.GeneralName, ...]:
        """Return the subject alternative names, typed."""
        return (
            *(x509.DNSName(value) for value in self.dns),
            *(x509.UniformResourceIdentifier(value) for value in self.uri),
            *(x509.RFC822Name(value) for value in self.email),
            *(x509.IPAddress(ip_address(value)) for value in self.ip),
            *self.others,
        )


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """Where a credential lies: ``chain`` is leaf first without the root, ``key`` is PKCS #8 without a passphrase."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True, eq=False)
class Credential:
    """A certificate, its private key, and the intermediates to send with it (the root is not among them)."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    intermediates: tuple[x509.Certificate, ...]

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What is sent in a handshake, leaf first."""
        return (self.certificate, *self.intermediates)

    @property
    def key_pem(self) -> bytes:
        """The private key as PKCS #8 PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, folder: Path) -> CredentialFiles:
        """Write ``chain.pem`` and ``key.pem`` into ``folder``, which is made where it does not exist."""
        folder.mkdir(parents=True, exist_ok=True)
        files = CredentialFiles(folder / "chain.pem", folder / "key.pem")
        files.chain.write_bytes(pem(*self.chain))
        write_private(files.key, self.key_pem)
        return files


@dataclass(frozen=True, slots=True, eq=False)
class Authority:
    """A certificate authority; ``path`` is what its leaves need to reach the root: itself, unless it is one."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    path: tuple[x509.Certificate, ...] = ()

    @classmethod
    def root(
        cls, subject: x509.Name | str, *, key: PrivateKey | None = None, window: Window | None = None,
        path_length: int | None = None, extra: Extensions = (),
    ) -> Authority:
        """Make a self-signed authority."""
        own = key or ec_key()
        name = _name(subject)
        builder = _authority_builder(name, own, window, path_length, extra)
        return cls(_sign(builder, name, own, own, SHA256()), own)

    def intermediate(
        self, subject: x509.Name | str, *, key: PrivateKey | None = None, window: Window | None = None,
        path_length: int | None = None, extra: Extensions = (),
    ) -> Authority:
        """Make an authority below this one."""
        own = key or ec_key()
        builder = _authority_builder(_name(subject), own, window, path_length, extra)
        certificate = _sign(builder, self.certificate.subject, own, self.key, SHA256())
        return Authority(certificate, own, (certificate, *self.path))

    def issue(self, leaf: Leaf) -> Credential:
        """Sign an end-entity certificate."""
        key = leaf.key or ec_key()
        name = _name(leaf.subject)
        builder = _builder(name, key, leaf.window, leaf.extra)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        if leaf.eku is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(leaf.eku), critical=False)
        names = leaf.names()
        if names:
            # RFC 5280, section 4.2.1.6: critical where there is no subject to name the holder.
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(name))
        certificate = _sign(builder, self.certificate.subject, key, self.key, leaf.signature_hash)
        return Credential(certificate, key, self.path)

    def write(self, path: Path) -> Path:
        """Write the authority's certificate, without its key, as PEM; return ``path``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pem(self.certificate))
        return path


def distinguished_name(
    common_name: str = "", *, organization: str = "", units: tuple[str, ...] = (), country: str = ""
) -> x509.Name:
    """Make a name of the attributes that are given, in the usual order."""
    attributes = [(NameOID.COUNTRY_NAME, country), (NameOID.ORGANIZATION_NAME, organization)]
    attributes += [(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    attributes.append((NameOID.COMMON_NAME, common_name))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes if value])


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """Make an ECDSA key, on P-256 unless told otherwise."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Make an RSA key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates as PEM, one after the other."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, also where it was there before with a wider mode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, KEY_MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, KEY_MODE)
        file.write(content)


def _name(subject: x509.Name | str) -> x509.Name:
    return distinguished_name(subject) if isinstance(subject, str) else subject


def _authority_builder(
    name: x509.Name, key: PrivateKey, window: Window | None, path_length: int | None, extra: Extensions
) -> x509.CertificateBuilder:
    span = window or Window.around_now(AUTHORITY_LIFE / 2, AUTHORITY_LIFE / 2)
    builder = _builder(name, key, span, extra)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(_usage(signs_certificates=True), critical=True)


def _builder(name: x509.Name, key: PrivateKey, window: Window, extra: Extensions) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=name, public_key=key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(window.start).not_valid_after(window.end)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    return builder


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return a CA's key usage, or that of a leaf, which signs handshakes only."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(
    builder: x509.CertificateBuilder, issuer: x509.Name, subject_key: PrivateKey, key: PrivateKey, digest: Digest
) -> x509.Certificate:
    """Sign; where the certificate is not self-signed it names its issuer's key (RFC 5280, section 4.2.1.1)."""
    if subject_key is not key:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
    brings_own_hash = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.issuer_name(issuer).sign(key, None if brings_own_hash else digest)
