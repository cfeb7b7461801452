"""CRLs for tests: made in memory, by the authorities of the tests and of the demo."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.decide.peer.crl.facts import Crl, read_crl
from proxy.operate.demo.pki import Authority, Credential
from tests.support.certificates import DAY, NOW, Issued

Extensions = Iterable[tuple[x509.ExtensionType, bool]]
REVOKED_AT: Final = NOW - 2 * DAY
REASONS: Final[Mapping[int, x509.ReasonFlags]] = {
    1: x509.ReasonFlags.key_compromise,
    6: x509.ReasonFlags.certificate_hold,
    8: x509.ReasonFlags.remove_from_crl,
}


def make_crl(
    issuer: Issued | Authority,
    listed: Mapping[int, int] | None = None,
    *,
    number: int | None = 1,
    base: int | None = None,
    this_update: float = NOW - DAY,
    next_update: float | None = None,
    extensions: Extensions = (),
    digest: hashes.HashAlgorithm | None = None,
    certificate_issuer: x509.Name | None = None,
) -> bytes:
    """Make a DER CRL that lists serials with their reason codes (0: none is given); ``base`` makes it a delta CRL."""
    certificate = issuer.certificate if isinstance(issuer, Authority) else issuer.certificate.x509
    end = this_update + 10 * DAY if next_update is None else next_update
    builder = x509.CertificateRevocationListBuilder().issuer_name(certificate.subject)
    builder = builder.last_update(_time(this_update)).next_update(_time(end))
    key = x509.AuthorityKeyIdentifier.from_issuer_public_key(certificate.public_key())  # type: ignore[arg-type]
    builder = builder.add_extension(key, critical=False)
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    if base is not None:
        builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    for serial, reason in (listed or {}).items():
        builder = builder.add_revoked_certificate(_entry(serial, reason, certificate_issuer))
    own_hash = isinstance(issuer.key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(issuer.key, None if own_hash else digest or hashes.SHA256()).public_bytes(Encoding.DER)


def crl_now(issuer: Authority, number: int, *revoked: Credential) -> bytes:
    """Make a DER CRL that counts by the clock, for a day, and lists these."""
    listed = {credential.certificate.serial_number: 1 for credential in revoked}
    now = time.time()
    return make_crl(issuer, listed, number=number, this_update=now - 60, next_update=now + DAY)


def crl_of(issuer: Issued | Authority, listed: Mapping[int, int] | None = None, **options: Any) -> Crl:
    """Make a CRL and read it."""
    return read_crl(make_crl(issuer, listed, **options), "test.crl")


def point(**fields: Any) -> tuple[x509.IssuingDistributionPoint, bool]:
    """Make an issuing distribution point; what is not given is absent."""
    values: dict[str, Any] = {
        "full_name": None, "relative_name": None, "only_contains_user_certs": False, "only_contains_ca_certs": False,
        "only_some_reasons": None, "indirect_crl": False, "only_contains_attribute_certs": False,
    }  # fmt: skip
    return x509.IssuingDistributionPoint(**{**values, **fields}), True


def uri(address: str) -> list[x509.GeneralName]:
    """Make the names of a distribution point."""
    return [x509.UniformResourceIdentifier(address)]


def points(*found: x509.DistributionPoint) -> tuple[x509.CRLDistributionPoints, bool]:
    """Make a certificate's distribution points."""
    return x509.CRLDistributionPoints(found), False


def at(address: str | None, *, reasons: Iterable[x509.ReasonFlags] | None = None, by: x509.Name | None = None) -> (
    x509.DistributionPoint
):
    """Make one distribution point."""
    return x509.DistributionPoint(
        full_name=None if address is None else uri(address),
        relative_name=None,
        reasons=None if reasons is None else frozenset(reasons),
        crl_issuer=None if by is None else [x509.DirectoryName(by)],
    )


def _entry(serial: int, reason: int, issuer: x509.Name | None) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_time(REVOKED_AT))
    if reason:
        builder = builder.add_extension(x509.CRLReason(REASONS[reason]), critical=False)
    if issuer is not None:
        builder = builder.add_extension(x509.CertificateIssuer([x509.DirectoryName(issuer)]), critical=True)
    return builder.build()


def _time(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)
