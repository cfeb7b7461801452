"""OCSP responses for tests: written octet by octet, so that each part can be another one than it should be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from proxy.decide.facts import Certificate
from proxy.decide.peer.needs import Nonce, OcspNeed
from proxy.decide.peer.ocsp.request import DIGESTS
from tests.support.certificates import DAY, NOW, Issued, make_leaf

HOUR: Final = 3600.0
URL: Final = "http://ocsp.pki.example/"
NOCHECK: Final = (x509.OCSPNoCheck(), False)
GOOD, REVOKED, UNKNOWN = "good", "revoked", "unknown"

_DIGEST_OIDS: Final = {
    "sha1": "06052b0e03021a", "sha256": "0609608648016503040201", "sha384": "0609608648016503040202",
    "sha512": "0609608648016503040203", "md5": "06082a864886f70d0205",
}  # fmt: skip
_SIGNATURES: Final = {
    ("EC", "sha1"): "300906072a8648ce3d0401", ("EC", "sha256"): "300a06082a8648ce3d040302",
    ("EC", "sha384"): "300a06082a8648ce3d040303", ("RSA", "sha256"): "300d06092a864886f70d01010b0500",
    ("RSA", "sha1"): "300d06092a864886f70d0101050500", ("Ed25519", "sha256"): "300506032b6570",
    ("Ed448", "sha256"): "300506032b6571", ("RSA", "pss"): (
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108"
        "300d06096086480165030402010500a203020120"
    ), ("RSA", "pss of SHA-1"): "300d06092a864886f70d01010a3000",
}  # fmt: skip


@dataclass(frozen=True)
class Single:
    """What a response says of one certificate; times are Unix seconds."""

    issuer: Issued
    leaf: Issued
    status: str = GOOD
    this_update: float = NOW - HOUR
    next_update: float | None = NOW + DAY
    revoked_at: float = NOW - 2 * DAY
    reason: int | None = 1
    digest: str = "sha1"
    extensions: tuple[tuple[str, bool], ...] = ()
    """Object identifiers in hexadecimal DER, and whether each is critical."""


def need_for(issuer: Issued, leaf: Issued, nonce: Nonce = Nonce.ASK, max_age: float | None = None) -> OcspNeed:
    """Make the question about a leaf."""
    cert = leaf.certificate
    return OcspNeed(
        bundle="cdn", urls=(URL,), certificate=cert.der, issuer=issuer.certificate.der, fingerprint=cert.fingerprint,
        depth=0, digest="sha1", nonce=nonce, max_age=max_age, timeout=2.0,
    )  # fmt: skip


def responder_named(url: str = URL) -> tuple[x509.AuthorityInformationAccess, bool]:
    """Make the extension by which a certificate names its responder."""
    place = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)]), False


def make_delegate(
    issuer: Issued, *, nocheck: bool = True, eku: Iterable[x509.ObjectIdentifier] | None = None,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (), **options: object,
) -> Issued:  # fmt: skip
    """Make a certificate to which a CA delegates its answers."""
    purposes = (ExtendedKeyUsageOID.OCSP_SIGNING,) if eku is None else tuple(eku)
    added = (*extensions, NOCHECK) if nocheck else tuple(extensions)
    return make_leaf(issuer, "OCSP responder", eku=purposes or None, extensions=added, **options)  # type: ignore[arg-type]


def respond(
    *singles: Single,
    signer: Issued | None = None,
    certificates: Iterable[Certificate] | None = None,
    named: Issued | None = None,
    by_name: bool = False,
    produced_at: float = NOW - HOUR,
    nonce: bytes | None = None,
    extensions: Iterable[tuple[str, bool]] = (),
    digest: str = "sha256",
) -> bytes:
    """Make a DER response by ``signer`` (the issuer of the first if None), which sends its certificate along.

    ``named`` is who it says it is.
    """
    signer = signer or singles[0].issuer
    own = [signer.certificate] if signer is not singles[0].issuer else []
    sent = own if certificates is None else list(certificates)
    parts = [_extension(oid, b"\x05\x00", critical=critical) for oid, critical in extensions]
    if nonce is not None:
        parts.append(_extension("06092b0601050507300102", tlv(0x04, nonce), critical=False))
    data = tlv(
        0x30, _responder(named or signer, by_name=by_name), _time(produced_at), tlv(0x30, *map(_single, singles)),
        tlv(0xA1, tlv(0x30, *parts)) if parts else b"",
    )  # fmt: skip
    certs = tlv(0xA0, tlv(0x30, *(cert.der for cert in sent))) if sent else b""
    algorithm = bytes.fromhex(_SIGNATURES[signer.certificate.key.kind, digest])
    return successful(tlv(0x30, data, algorithm, tlv(0x03, b"\0", _sign(signer, data, digest)), certs))


def successful(basic: bytes) -> bytes:
    """Wrap a BasicOCSPResponse."""
    kind = bytes.fromhex("06092b0601050507300101")
    return tlv(0x30, tlv(0x0A, b"\0"), tlv(0xA0, tlv(0x30, kind, tlv(0x04, basic))))


def unsuccessful(code: int) -> bytes:
    """Make a response that is only a status: 1 malformedRequest, 2 internalError, 3 tryLater, 5, 6 unauthorized."""
    return tlv(0x30, tlv(0x0A, bytes([code])))


def tlv(tag: int, *parts: bytes) -> bytes:
    """Write one DER value."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def other(single: Single, **changes: object) -> Single:
    """Return ``single`` with changes."""
    return replace(single, **changes)  # type: ignore[arg-type]


def _single(single: Single) -> bytes:
    following = b"" if single.next_update is None else tlv(0xA0, _time(single.next_update))
    added = [_extension(oid, b"\x05\x00", critical=critical) for oid, critical in single.extensions]
    extensions = tlv(0xA1, tlv(0x30, *added)) if added else b""
    return tlv(0x30, _certificate_id(single), _status(single), _time(single.this_update), following, extensions)


def _certificate_id(single: Single) -> bytes:
    algorithm = DIGESTS.get(single.digest, hashes.SHA1())  # noqa: S303
    certificate, issuer = single.leaf.certificate.x509, single.issuer.certificate.x509
    own = OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm).build()
    serial = own.serial_number.to_bytes(own.serial_number.bit_length() // 8 + 1, "big")
    names = bytes.fromhex(_DIGEST_OIDS[single.digest]), b"\x05\x00"
    hashed = tlv(0x04, own.issuer_name_hash), tlv(0x04, own.issuer_key_hash)
    return tlv(0x30, tlv(0x30, *names), *hashed, tlv(0x02, serial))


def _status(single: Single) -> bytes:
    if single.status == REVOKED:
        reason = b"" if single.reason is None else tlv(0xA0, tlv(0x0A, bytes([single.reason])))
        return tlv(0xA1, _time(single.revoked_at), reason)
    return {GOOD: b"\x80\x00", UNKNOWN: b"\x82\x00"}[single.status]


def _responder(signer: Issued, *, by_name: bool) -> bytes:
    cert = signer.certificate.x509
    if by_name:
        return tlv(0xA1, cert.subject.public_bytes())
    return tlv(0xA2, tlv(0x04, x509.SubjectKeyIdentifier.from_public_key(cert.public_key()).digest))


def _extension(oid: str, value: bytes, *, critical: bool) -> bytes:
    return tlv(0x30, bytes.fromhex(oid), b"\x01\x01\xff" if critical else b"", tlv(0x04, value))


def _time(unix: float) -> bytes:
    return tlv(0x18, datetime.fromtimestamp(unix, UTC).strftime("%Y%m%d%H%M%SZ").encode())


def _sign(signer: Issued, data: bytes, digest: str) -> bytes:
    named = {"sha1": hashes.SHA1(), "sha384": hashes.SHA384()}  # noqa: S303
    algorithm = named.get(digest, hashes.SHA256())
    match signer.key:
        case ec.EllipticCurvePrivateKey() as key:
            return key.sign(data, ec.ECDSA(algorithm))
        case rsa.RSAPrivateKey() as key if digest.startswith("pss"):
            return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        case rsa.RSAPrivateKey() as key:
            return key.sign(data, padding.PKCS1v15(), algorithm)
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey() as key:
            return key.sign(data)
        case key:
            raise TypeError(f"no signature by {type(key).__name__}")


def in_pem(certificate: Certificate) -> bytes:
    """Write a certificate for OpenSSL's command."""
    return certificate.x509.public_bytes(Encoding.PEM)
