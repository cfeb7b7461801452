"""Request: how a responder is asked about one certificate (RFC 6960, section 4.1; RFC 9654 for the nonce)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequest, OCSPRequestBuilder

from proxy.decide.peer.needs import OcspNeed

NONCE: Final = 32
"""Octets of a nonce: what RFC 9654, section 2.1, asks of a client."""

DIGESTS: Final[Mapping[str, hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - a name for the issuer, and no protection
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
"""The hashes of a certID: we send the first two, a responder may answer with any."""


def build_request(need: OcspNeed, nonce: bytes | None) -> bytes:
    """Make the DER request for a need; ``nonce`` are 32 random octets, None for a request without one."""
    certificate, issuer = x509.load_der_x509_certificate(need.certificate), x509.load_der_x509_certificate(need.issuer)
    builder = OCSPRequestBuilder().add_certificate(certificate, issuer, DIGESTS[need.digest])
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def certificate_id(need: OcspNeed, digest: str) -> OCSPRequest:
    """Return a request for the sake of its certID, which a response is held against."""
    certificate, issuer = x509.load_der_x509_certificate(need.certificate), x509.load_der_x509_certificate(need.issuer)
    return OCSPRequestBuilder().add_certificate(certificate, issuer, DIGESTS[digest]).build()
