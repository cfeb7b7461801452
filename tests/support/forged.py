"""Certificates that no decent library makes: broken signatures, old hashes, and text that is out of place."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from proxy.operate.demo.pki import Authority, Credential, Leaf

_RSA_SHA256: Final = bytes.fromhex("06092a864886f70d01010b")
_RSA_SHA1: Final = bytes.fromhex("06092a864886f70d010105")

HOSTILE: Final = 'a"b\r\nX-Admin: yes\x1b[31m\u202etxt.exe\\'
"""Quotes, a line break with a header after it, a terminal's escape, a bidirectional override and a backslash."""

UNREADABLE_NAME: Final = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x05\x81\x03a@\xe9")
"""An e-mail address outside of ASCII, which OpenSSL does not mind and cryptography does not read."""

UNKNOWN_CRITICAL: Final = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.7"), b"\x05\x00"), True)


def with_broken_signature(credential: Credential) -> Credential:
    """Change the last octet of the certificate's signature."""
    der = bytearray(credential.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return Credential(x509.load_der_x509_certificate(bytes(der)), credential.key, credential.intermediates)


def signed_with_sha1(authority: Authority, leaf: Leaf) -> Credential:
    """Issue with SHA-1, which cryptography does not do; the authority's key is RSA."""
    made = authority.issue(leaf)
    if not isinstance(authority.key, RSAPrivateKey):
        raise TypeError("only RSA signatures keep their length")
    der, old = made.certificate.public_bytes(Encoding.DER), made.certificate.tbs_certificate_bytes
    new = old.replace(_RSA_SHA256, _RSA_SHA1)
    signature = authority.key.sign(new, PKCS1v15(), SHA1())  # noqa: S303 - what has to be refused
    der = der.replace(old, new).replace(_RSA_SHA256, _RSA_SHA1).replace(made.certificate.signature, signature)
    return Credential(x509.load_der_x509_certificate(der), made.key, made.intermediates)


def hostile_name(text: str = HOSTILE) -> x509.Name:
    """Make a name that is an attempt at injection."""
    pairs = [(NameOID.ORGANIZATION_NAME, text), (NameOID.COMMON_NAME, text)]
    return x509.Name([x509.NameAttribute(oid, value, _validate=False) for oid, value in pairs])
