"""Values of identity headers: what a verified identity looks like to the app, in printable ASCII only.

Text in a certificate is written by its holder. Every value here is made of fixed parts, hexadecimal, base64,
percent-encoding or escaped text, so no certificate can end a header, start another, or leave a quoted string.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from proxy.decide.facts import Certificate
from proxy.decide.verdict import Identity

_OPENSSL_NAMES: Final = {
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "GN",
    NameOID.TITLE: "title",
    NameOID.INITIALS: "initials",
    NameOID.PSEUDONYM: "pseudonym",
    NameOID.DN_QUALIFIER: "dnQualifier",
    NameOID.GENERATION_QUALIFIER: "generationQualifier",
    NameOID.BUSINESS_CATEGORY: "businessCategory",
    NameOID.POSTAL_CODE: "postalCode",
    NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier",
}
"""Names that OpenSSL, and so nginx, Envoy and ALB, print for attributes outside RFC 4514, section 3."""

_ESCAPED: Final = frozenset(",+;<>")
_QUOTED: Final = frozenset(",;=")
_XFCC_SAFE: Final = "".join(chr(octet) for octet in range(0x21, 0x7F) if chr(octet) not in '"\\')


def client_cert(identity: Identity) -> bytes:
    """Return RFC 9440's ``Client-Cert``: the leaf's DER as a structured field's byte sequence (RFC 8941)."""
    return _byte_sequence(identity.leaf)


def client_cert_chain(identity: Identity) -> bytes:
    """Return RFC 9440's ``Client-Cert-Chain``: the issuers in order, leaf excluded; empty where there is none."""
    return b", ".join(map(_byte_sequence, identity.issuers))


def xfcc(identity: Identity) -> bytes:
    """Return one element of Envoy's X-Forwarded-Client-Cert, with the keys in Envoy's order."""
    leaf = identity.leaf
    pairs = [
        f"Hash={leaf.fingerprint}",
        f'Cert="{quote(_pem(leaf), safe="")}"',
        f'Subject="{distinguished_name(leaf.x509.subject)}"',
        *(f"URI={_xfcc_text(uri)}" for uri in leaf.san_uri),
        *(f"DNS={_xfcc_text(name)}" for name in leaf.san_dns),
    ]
    return ";".join(pairs).encode("ascii")


def serial(identity: Identity) -> bytes:
    """Return the leaf's serial number in upper-case hexadecimal, two digits for each octet."""
    number = identity.leaf.serial
    digits = f"{abs(number):X}"
    return ("-" * (number < 0) + "0" * (len(digits) % 2) + digits).encode("ascii")


def subject(identity: Identity) -> bytes:
    """Return the leaf's subject as an RFC 4514 string."""
    return distinguished_name(identity.leaf.x509.subject).encode("ascii")


def issuer(identity: Identity) -> bytes:
    """Return the leaf's issuer as an RFC 4514 string."""
    return distinguished_name(identity.leaf.x509.issuer).encode("ascii")


def validity(identity: Identity) -> bytes:
    """Return the leaf's validity as ALB writes it, in ISO 8601 and UTC."""
    leaf = identity.leaf
    return f"NotBefore={_iso(leaf.not_before)};NotAfter={_iso(leaf.not_after)}".encode("ascii")


def alb_leaf(identity: Identity) -> bytes:
    """Return the leaf's PEM, percent-encoded but for ``+``, ``=`` and ``/``."""
    return quote(_pem(identity.leaf), safe="+=/").encode("ascii")


def nginx_verify(_identity: Identity) -> bytes:
    """Return nginx's word for a certificate that was verified."""
    return b"SUCCESS"


def nginx_fingerprint(identity: Identity) -> bytes:
    """Return the leaf's SHA-1 in lower-case hexadecimal: a name for the certificate, not a proof."""
    return hashlib.sha1(identity.leaf.der, usedforsecurity=False).hexdigest().encode("ascii")


def nginx_cert(identity: Identity) -> bytes:
    """Return the leaf's PEM, percent-encoded like nginx's ``$ssl_client_escaped_cert``."""
    return quote(_pem(identity.leaf), safe="").encode("ascii")


def distinguished_name(name: x509.Name) -> str:
    r"""Write a name as OpenSSL's RFC 2253 form does, in printable ASCII.

    Quotes and backslashes become hexadecimal pairs (``\22``, ``\5C``), which RFC 4514 allows and OpenSSL does not
    do: then the text can stand within quotes in any header, whatever its reader takes for an escape.
    """
    return ",".join("+".join(_rdn(rdn)) for rdn in reversed(name.rdns))


def _rdn(rdn: x509.RelativeDistinguishedName) -> Iterator[str]:
    for attribute in rdn:
        name = attribute.rfc4514_attribute_name
        yield f"{_OPENSSL_NAMES.get(attribute.oid, name)}={_dn_value(attribute.value)}"


def _dn_value(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return f"#{value.hex()}"
    pieces = [_dn_character(character) for character in value]
    # RFC 4514, section 2.4; the blanks in hexadecimal, because HTTP trims them at the end of a value.
    if value.startswith(("#", " ")):
        pieces[0] = _pairs(value[0])
    if value.endswith(" "):
        pieces[-1] = _pairs(" ")
    return "".join(pieces)


def _dn_character(character: str) -> str:
    if character in _ESCAPED:
        return f"\\{character}"
    return character if " " <= character <= "~" and character not in '"\\' else _pairs(character)


def _pairs(character: str) -> str:
    return "".join(f"\\{octet:02X}" for octet in character.encode("utf-8", "surrogatepass"))


def _xfcc_text(text: str) -> str:
    value = quote(text, safe=_XFCC_SAFE, errors="surrogatepass")
    return f'"{value}"' if not _QUOTED.isdisjoint(value) else value


def _byte_sequence(certificate: Certificate) -> bytes:
    return b":" + base64.b64encode(certificate.der) + b":"


def _pem(certificate: Certificate) -> bytes:
    return certificate.x509.public_bytes(Encoding.PEM)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
