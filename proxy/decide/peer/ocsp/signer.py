"""Signer: who may answer for a CA (RFC 6960, section 4.2.2.2), and whether it was he who did.

That is the CA itself, or a delegate: a certificate that the CA issued directly, for OCSPSigning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPResponse
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from cryptography.x509.oid import SignatureAlgorithmOID as Algorithm

from proxy.decide.facts import Certificate, MalformedCertificateError, read_certificate
from proxy.decide.peer.answers import Fault
from proxy.decide.peer.chain import WEAK_HASHES, check_hashes, check_keys
from proxy.decide.peer.crl.der import SEQUENCE, span
from proxy.decide.peer.crl.evidence import moment
from proxy.decide.peer.crl.facts import Seal
from proxy.decide.peer.crl.names import name_key
from proxy.decide.peer.crl.verify import extension, signed_by
from proxy.decide.peer.x509_errors import who

MAX_CERTIFICATES: Final = 8
"""Certificates of a response that are looked at: a responder sends one, and at times those above it."""

OCSP_SIGNING: Final = ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string

_SCHEMES: Final[Mapping[x509.ObjectIdentifier, padding.PKCS1v15 | type[ec.ECDSA]]] = {
    Algorithm.RSA_WITH_SHA256: padding.PKCS1v15(),
    Algorithm.RSA_WITH_SHA384: padding.PKCS1v15(),
    Algorithm.RSA_WITH_SHA512: padding.PKCS1v15(),
    Algorithm.ECDSA_WITH_SHA256: ec.ECDSA,
    Algorithm.ECDSA_WITH_SHA384: ec.ECDSA,
    Algorithm.ECDSA_WITH_SHA512: ec.ECDSA,
}

_PSS: Final[Mapping[bytes, hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    bytes.fromhex(
        f"304106092a864886f70d01010a3034a00f300d0609608648016503040{number}0500a11c301a06092a864886f70d010108"
        f"300d0609608648016503040{number}0500a2030201{digest.digest_size:02x}"
    ): digest
    for number, digest in (("201", hashes.SHA256()), ("202", hashes.SHA384()), ("203", hashes.SHA512()))
}
"""RSASSA-PSS as CAs use it: the same hash twice, and a salt of its size (RFC 4055, section 3.1)."""

_Scheme = tuple[padding.PKCS1v15 | padding.PSS | ec.ECDSA, hashes.HashAlgorithm]

_UNDERSTOOD: Final = frozenset({
    ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.AUTHORITY_INFORMATION_ACCESS, ExtensionOID.OCSP_NO_CHECK,
    ExtensionOID.CERTIFICATE_POLICIES,
})  # fmt: skip
"""What a delegate's certificate may call critical; no chain is built on it, and these ask nothing more of it."""


class UnusableError(Exception):
    """A response that is no answer; ``fault`` names why."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed an answer: his name, until when his certificate is valid, and the certificate that needs a check.

    ``unchecked`` is the DER of a delegate that does not carry id-pkix-ocsp-nocheck.
    """

    name: str
    ends: float = inf
    unchecked: bytes | None = None


def find_signer(response: OCSPResponse, issuer: Certificate, now: float) -> Signer:
    """Return who signed a response about a certificate of ``issuer``, at Unix time ``now``. Raises UnusableError."""
    seal = _seal(response)
    if _is_named(issuer, response):
        if signed_by(seal, issuer):
            return Signer(who(issuer))
        raise UnusableError(Fault.BAD_SIGNATURE, f"it names {who(issuer)} as its signer, whose key did not sign it")
    faults = []
    for delegate in _delegates(response):
        fault = _fault_of(delegate, issuer, now)
        if fault is None:
            if signed_by(seal, delegate):
                return _signer(delegate)
            raise UnusableError(Fault.BAD_SIGNATURE, f"the key of {who(delegate)} did not sign it")
        faults.append(f"{who(delegate)}: {fault}")
    told = "; ".join(faults) or "it brings no certificate for the signer that it names"
    raise UnusableError(Fault.WRONG_SIGNER, f"nobody who may answer for {who(issuer)} signed it: {told}")


def _signer(delegate: Certificate) -> Signer:
    unchecked = None if extension(delegate, x509.OCSPNoCheck) is not None else delegate.der
    return Signer(who(delegate), delegate.not_after, unchecked)


def _seal(response: OCSPResponse) -> Seal:
    """Return the signature, and what it signs. Raises UnusableError."""
    algorithm = response.signature_algorithm_oid
    if algorithm in (Algorithm.ED25519, Algorithm.ED448):
        return Seal(None, None, response.tbs_response_bytes, response.signature)
    scheme, digest = _pss(response) if algorithm == Algorithm.RSASSA_PSS else _plain(response, algorithm)
    hasher = hashes.Hash(digest)
    hasher.update(response.tbs_response_bytes)
    return Seal(scheme, digest, hasher.finalize(), response.signature)


def _plain(response: OCSPResponse, algorithm: x509.ObjectIdentifier) -> _Scheme:
    """Read an algorithm that names its hash."""
    try:
        digest = response.signature_hash_algorithm
    except UnsupportedAlgorithm:
        digest = None
    if digest is not None and digest.name in WEAK_HASHES:
        raise UnusableError(Fault.WEAK_SIGNATURE, f"it is signed with {digest.name}; SHA-256 and up are accepted")
    scheme = _SCHEMES.get(algorithm)
    if scheme is None or digest is None:
        name = algorithm.dotted_string
        raise UnusableError(Fault.BAD_SIGNATURE, f"its signature algorithm {name} is not supported")
    return (scheme if isinstance(scheme, padding.PKCS1v15) else scheme(digest)), digest


def _pss(response: OCSPResponse) -> _Scheme:
    """Read the parameters of RSASSA-PSS (RFC 4055), which follow what is signed; cryptography does not show them."""
    whole, signed = response.public_bytes(Encoding.DER), response.tbs_response_bytes
    at = whole.index(signed) + len(signed)
    found = _PSS.get(whole[at : span(whole, at, len(whole), SEQUENCE)[1]])
    if found is None:
        words = "its RSASSA-PSS is not one of SHA-256, SHA-384 or SHA-512 with a salt as long"
        raise UnusableError(Fault.BAD_SIGNATURE, words)
    return padding.PSS(padding.MGF1(found), found.digest_size), found


def _is_named(cert: Certificate, response: OCSPResponse) -> bool:
    """Tell whether the responder's identifier, by name or by key (section 4.2.1), is that of ``cert``."""
    if response.responder_name is not None:
        return name_key(response.responder_name) == name_key(cert.x509.subject)
    key = x509.SubjectKeyIdentifier.from_public_key(cert.x509.public_key())  # the same digest: section 4.2.1
    return response.responder_key_hash == key.digest


def _delegates(response: OCSPResponse) -> Iterator[Certificate]:
    for cert in response.certificates[:MAX_CERTIFICATES]:
        try:
            delegate = read_certificate(cert.public_bytes(Encoding.DER))
        except MalformedCertificateError:
            continue  # it cannot be read, so it cannot have signed; others may
        if _is_named(delegate, response):
            yield delegate


def _fault_of(delegate: Certificate, issuer: Certificate, now: float) -> str | None:
    """Say why a certificate may not answer for ``issuer``, None where it may."""
    if delegate.eku is None or OCSP_SIGNING not in delegate.eku:
        return "its extended key usage lacks OCSPSigning"
    if not delegate.digital_signature:
        return "its key usage lacks digitalSignature"
    if not delegate.not_before <= now <= delegate.not_after:
        return f"it is valid from {moment(delegate.not_before)} to {moment(delegate.not_after)} only"
    unknown = [e.oid for e in delegate.x509.extensions if e.critical and e.oid not in _UNDERSTOOD]
    if unknown:
        return f"its critical extension {unknown[0].dotted_string} is not known"
    weak = check_keys((delegate,)) or check_hashes((delegate, issuer))
    if weak is not None:
        return weak.detail
    return None if _issued_by(delegate, issuer) else f"{who(issuer)} has not issued it"


def _issued_by(delegate: Certificate, issuer: Certificate) -> bool:
    try:
        delegate.x509.verify_directly_issued_by(issuer.x509)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True
