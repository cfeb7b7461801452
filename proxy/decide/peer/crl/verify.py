"""Verify: whether a certificate is the one that a CRL was signed with (RFC 5280, section 6.3.3, steps f and g)."""

from __future__ import annotations

from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from proxy.decide.facts import Certificate
from proxy.decide.peer.crl.facts import Crl, Seal
from proxy.decide.peer.crl.names import name_key

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def check_signer(crl: Crl, signer: Certificate) -> str | None:
    """Say why ``signer`` cannot have issued ``crl``, None where it has: its name, key, key usage and signature."""
    if name_key(signer.x509.subject) != crl.issuer_key:
        return "it has another name"
    identifier = extension(signer, x509.SubjectKeyIdentifier)
    if identifier is not None and crl.authority_key not in (None, identifier.digest):
        return "the CRL's authority key identifier names another key"
    usage = extension(signer, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        return "its key usage lacks cRLSign"
    return None if signed_by(crl.seal, signer) else "the CRL's signature does not match its key"


def expects(crl: Crl, signer: Certificate) -> bool:
    """Tell whether a CRL with this name and authority key must have been signed by ``signer``."""
    identifier = extension(signer, x509.SubjectKeyIdentifier)
    same_key = identifier is None or crl.authority_key in (None, identifier.digest)
    return same_key and name_key(signer.x509.subject) == crl.issuer_key


def extension(cert: Certificate, kind: type[_Extension]) -> _Extension | None:
    """Return an extension of a certificate, None where it has none."""
    try:
        return cert.x509.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def signed_by(seal: Seal, signer: Certificate) -> bool:
    """Tell whether a signature is by the key of ``signer``."""
    try:
        return _verified(seal, signer)
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, ValueError):
        # A key that fits no signature of this kind, such as an RSA key too short for its padding.
        return False


def _verified(seal: Seal, signer: Certificate) -> bool:
    """Check the signature; raises InvalidSignature. False is for a key of another kind."""
    match signer.x509.public_key(), seal.scheme, seal.digest:
        case rsa.RSAPublicKey() as rsa_key, padding.PSS() | padding.PKCS1v15() as scheme, digest if digest is not None:
            rsa_key.verify(seal.signature, bytes(seal.signed), scheme, Prehashed(digest))
        case ec.EllipticCurvePublicKey() as ec_key, ec.ECDSA(), digest if digest is not None:
            ec_key.verify(seal.signature, seal.signed, ec.ECDSA(Prehashed(digest)))
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() as ed_key, None, None:
            ed_key.verify(seal.signature, seal.signed)
        case _:
            return False
    return True
