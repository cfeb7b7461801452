"""CRLs of any size, written as DER by hand: a builder that copies its list for each entry takes hours for a million."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import AuthorityKeyIdentifier, CertificateRevocationListBuilder, CRLNumber

from proxy.operate.demo.pki import Authority

SEQUENCE: Final = 0x30
BIT_STRING: Final = 0x03
EXTENSIONS: Final = 0xA0
REVOKED_AT: Final = b"\x17\x0d250101000000Z"
"""UTCTime: all at the same moment."""

SERIAL: Final = b"\x02\x10\x40"
"""INTEGER of 16 octets, the first of which keeps it positive."""

STRIDE: Final = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Odd, so that its multiples do not repeat: serials look random, as real ones do (2^128 over the golden ratio)."""


def make_crl(issuer: Authority, entries: int) -> bytes:
    """Return a DER CRL by ``issuer`` with ``entries`` serials that no certificate of the bench has."""
    empty = _empty(issuer)
    tbs = empty.tbs_certlist_bytes
    head, extensions = _split(tbs)
    body = b"".join(map(_entry, range(1, entries + 1)))
    return _signed(issuer, _tlv(SEQUENCE, head + (_tlv(SEQUENCE, body) if body else b"") + extensions), tbs)


def _empty(issuer: Authority) -> x509.CertificateRevocationList:
    now = datetime.now(UTC)
    builder = CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=30))
    key = AuthorityKeyIdentifier.from_issuer_public_key(issuer.certificate.public_key())  # type: ignore[arg-type]
    builder = builder.add_extension(key, critical=False).add_extension(CRLNumber(1), critical=False)
    return builder.sign(issuer.key, SHA256())


def _entry(number: int) -> bytes:
    serial = (number * STRIDE % (1 << 120)).to_bytes(15, "big")
    return _tlv(SEQUENCE, SERIAL + serial + REVOKED_AT)


def _signed(issuer: Authority, tbs: bytes, template: bytes) -> bytes:
    """Sign ``tbs`` with the algorithm that ``template`` names: its second element, after the version."""
    start, end = _content(template, 0)
    _, start = _content(template, start)
    _, end = _content(template, start)
    algorithm = template[start:end]
    key = issuer.key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(tbs, ec.ECDSA(SHA256()))
    else:
        signature = key.sign(tbs, padding.PKCS1v15(), SHA256())  # type: ignore[call-arg]
    return _tlv(SEQUENCE, tbs + algorithm + _tlv(BIT_STRING, b"\0" + signature))


def _split(tbs: bytes) -> tuple[bytes, bytes]:
    """Split an empty CRL's content before its extensions, which is where the entries go (RFC 5280, section 5.1)."""
    position, end = _content(tbs, 0)
    start = position
    while tbs[position] != EXTENSIONS:
        _, position = _content(tbs, position)
    return tbs[start:position], tbs[position:end]


def _content(data: bytes, position: int) -> tuple[int, int]:
    """Return where the content of the element at ``position`` starts and ends."""
    length = data[position + 1]
    start = position + 2
    if length & 0x80:
        width = length & 0x7F
        length = int.from_bytes(data[start : start + width], "big")
        start += width
    return start, start + length


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    width = (size.bit_length() + 7) // 8
    return bytes((tag, 0x80 | width)) + size.to_bytes(width, "big") + content


def pem(der: bytes) -> bytes:
    """Return a DER CRL as PEM."""
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
