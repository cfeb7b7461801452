"""Credentials: certificates and private keys out of the octets of files.

PEM is taken apart here rather than by a library that passes over what it does not know: a block that is silently
left out of a trust bundle locks clients out, or leaves somebody believing in a check that is not made.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from proxy.decide.facts import Certificate, MalformedCertificateError, read_certificate
from proxy.decide.peer.crl.evidence import moment

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_BEGIN: Final = b"-----BEGIN "
_DASHES: Final = b"-----"
_CERTIFICATE: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
_CRL: Final = frozenset({"X509 CRL"})


class CredentialError(ValueError):
    """Octets that are not the certificate or key that was meant; the message never repeats them."""


def read_certificates(data: bytes, *, beside_key: bool = False) -> tuple[Certificate, ...]:
    """Read the certificates of a PEM file, or the one of a DER file, in their order; there is at least one.

    ``beside_key`` allows private keys and parameters in the same file, and passes them over.
    Raises CredentialError for anything else that is found, and for any certificate that cannot be parsed.
    """
    if not data.strip():
        raise CredentialError("the file is empty; a CA or certificate file holds at least one certificate")
    ders = list(_pem_blocks(data, _CERTIFICATE, beside_key=beside_key)) if is_pem(data) else [data]
    if not ders:
        raise CredentialError("the file holds no certificate")
    certificates = []
    for number, der in enumerate(ders, 1):
        try:
            certificates.append(read_certificate(der))
        except MalformedCertificateError as fault:
            what = f"certificate {number} of {len(ders)}" if is_pem(data) else "neither PEM nor one DER certificate"
            raise CredentialError(f"{what}: {fault}") from fault
    return tuple(certificates)


def crls_in(data: bytes) -> tuple[bytes, ...]:
    """Return the DER of the CRLs of a PEM file, or the one of a DER file, in their order; there is at least one.

    Raises CredentialError for anything else that is found. What is in the DER is not looked at.
    """
    if not data.strip():
        raise CredentialError("the file is empty; a CRL file holds at least one CRL")
    return tuple(_pem_blocks(data, _CRL)) if is_pem(data) else (data,)


def is_pem(data: bytes) -> bool:
    """Tell whether octets are taken for PEM."""
    return _BEGIN in data


def _pem_blocks(data: bytes, wanted: frozenset[str], *, beside_key: bool = False) -> Iterator[bytes]:
    for number, piece in enumerate(data.split(_BEGIN)[1:], 1):
        label_octets, _, rest = piece.partition(_DASHES)
        label = label_octets.decode("ascii", "backslashreplace")
        body, end, _ = rest.partition(b"-----END " + label_octets + _DASHES)
        if not end:
            raise CredentialError(f"PEM block {number} (BEGIN {label:.40}) has no END line; the file is cut off")
        if label in wanted:
            yield _decode(body, number)
        elif not (beside_key and label.endswith(("PRIVATE KEY", "PARAMETERS"))):
            raise CredentialError(f"PEM block {number} is a {label:.40}; only {min(wanted)} belongs here")


def _decode(body: bytes, number: int) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as fault:
        raise CredentialError(f"PEM block {number} is not base64: {fault}") from fault


def read_private_key(data: bytes) -> PrivateKey:
    """Read an RSA or elliptic-curve private key, PEM or DER, without a pass phrase. Raises CredentialError."""
    load = load_pem_private_key if is_pem(data) else load_der_private_key
    try:
        key = load(data, password=None)
    except TypeError as fault:
        raise CredentialError(
            "the private key is encrypted; decrypt it (openssl pkey -in KEY -out PLAIN), protected by its file mode"
        ) from fault
    except (ValueError, UnsupportedAlgorithm) as fault:
        # The library's words are left out: some of them quote what they read.
        raise CredentialError("not a private key in PEM or DER form") from fault
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise CredentialError("the private key is neither RSA nor ECDSA, which is all that TLS clients agree on")
    return key


def anchor_fault(anchor: Certificate) -> str | None:
    """Say why a certificate cannot be an anchor, if it cannot (RFC 5280, sections 4.2.1.3 and 4.2.1.9)."""
    if not anchor.is_ca:
        return "it is no CA certificate (basic constraints: CA); give the CA that signs the clients, not a client"
    try:
        usage = anchor.x509.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    return None if usage.key_cert_sign else "its key usage lacks keyCertSign, so nothing that it signed is accepted"


def out_of_date(cert: Certificate, now: float) -> str | None:
    """Say that a certificate is not valid at Unix time ``now``, if it is not."""
    if now > cert.not_after:
        return f"expired on {moment(cert.not_after)}"
    return f"is not valid before {moment(cert.not_before)}" if now < cert.not_before else None


def chain_fault(chain: tuple[Certificate, ...]) -> str | None:
    """Say where a chain is not in order, if it is not: leaf first, each next one the issuer of the one before."""
    for number, (cert, issuer) in enumerate(pairwise(chain), 1):
        try:
            cert.x509.verify_directly_issued_by(issuer.x509)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return (
                f"certificate {number + 1} ({issuer.subject}) did not issue certificate {number} ({cert.subject}); "
                "the order is: the host's own certificate, then its issuer, and so on"
            )
    return None


def matches(key: PrivateKey, leaf: Certificate) -> bool:
    """Tell whether ``key`` is the private half of the leaf's key."""
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form) == leaf.x509.public_key().public_bytes(*form)


def distinct(certificates: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Drop repeated certificates; the first of each stays in its place."""
    return tuple({cert.fingerprint: cert for cert in certificates}.values())
