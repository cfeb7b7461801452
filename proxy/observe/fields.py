"""Fields: a certificate as a log line shows it, in the notation of openssl and of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from math import floor
from typing import Final

from proxy.decide.facts import Certificate
from proxy.decide.peer.crl.evidence import Evidence
from proxy.decide.peer.ocsp.evidence import OcspEvidence
from proxy.decide.verdict import Identity
from proxy.observe.expiry import DAY

MAX_SAN: Final = 20
"""Subject alternative names shown: a client has one to five; a stranger's certificate may hold thousands."""


def certificate_fields(cert: Certificate, now: float) -> dict[str, object]:
    """Return what an operator asks first about ``cert`` at Unix time ``now``.

    The text is as the certificate has it: Log escapes all that it writes. ``days_left`` counts whole days and is
    negative after the end; times are UTC, ISO 8601.
    """
    return {
        "subject": cert.subject,
        "issuer": cert.issuer,
        "serial": serial_text(cert.serial),
        "san": _san(cert),
        "fingerprint": f"sha256:{cert.fingerprint}",
        "not_before": iso_time(cert.not_before),
        "not_after": iso_time(cert.not_after),
        "days_left": floor((cert.not_after - now) / DAY),
    }


def anchor_fields(identity: Identity | None) -> dict[str, object] | None:
    """Return the anchor that a client's chain leads to, and the bundle that it is of; None for nobody."""
    if identity is None:
        return None
    anchor = identity.anchor
    return {"bundle": identity.bundle, "subject": anchor.subject, "fingerprint": f"sha256:{anchor.fingerprint}"}


def revocation_fields(evidence: Iterable[Evidence | OcspEvidence], now: float) -> list[dict[str, object]] | None:
    """Return the CRLs and OCSP answers that a verdict rests on at Unix time ``now``; None where there are none."""
    fields = (_ocsp_fields(one, now) if isinstance(one, OcspEvidence) else _crl_fields(one) for one in evidence)
    return [{name: value for name, value in one.items() if value is not None} for one in fields] or None


def _crl_fields(evidence: Evidence) -> dict[str, object]:
    return {
        "source": evidence.source,
        "issuer": evidence.issuer,
        "crl_number": None if evidence.number is None else str(evidence.number),
        "delta_of": None if evidence.base is None else str(evidence.base),
        "this_update": iso_time(evidence.this_update),
        "next_update": iso_time(evidence.next_update),
        "depth": evidence.depth,
        "revoked_at": _iso_time(evidence.revoked_at),
        "revocation_reason": evidence.reason,
    }


def _ocsp_fields(evidence: OcspEvidence, now: float) -> dict[str, object]:
    answer = evidence.answer
    failed: dict[str, object] = {
        "ocsp_fault": evidence.fault,
        "ocsp_detail": evidence.detail,
        "retry_at": _iso_time(evidence.retry_at),
    }
    if answer is None:
        return {"source": evidence.source or None, "ocsp_status": evidence.status, "depth": evidence.depth, **failed}
    return {
        "source": answer.source,
        "responder": answer.responder,
        "ocsp_status": evidence.status,
        "this_update": iso_time(answer.this_update),
        "next_update": _iso_time(answer.next_update),
        "age": round(now - answer.this_update),
        "fetched_at": iso_time(answer.fetched_at),
        "depth": evidence.depth,
        "revoked_at": _iso_time(answer.revoked_at),
        "revocation_reason": answer.reason,
        **failed,
    }


def serial_text(serial: int) -> str:
    """Write a serial number as ``openssl x509 -serial`` does: whole octets in upper-case hexadecimal."""
    digits = f"{abs(serial):X}"
    return ("-" if serial < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def iso_time(seconds: float) -> str:
    """Write a Unix time as UTC, ISO 8601, to the second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _iso_time(seconds: float | None) -> str | None:
    return None if seconds is None else iso_time(seconds)


def _san(cert: Certificate) -> list[str]:
    shown = list(islice(_names(cert), MAX_SAN))
    total = len(cert.san_dns) + len(cert.san_uri) + len(cert.san_email) + len(cert.san_ip)
    return shown if total <= MAX_SAN else [*shown, f"… and {total - MAX_SAN} more"]


def _names(cert: Certificate) -> Iterator[str]:
    """Yield the names that rules can match, with openssl's prefix for their type."""
    yield from (f"DNS:{name}" for name in cert.san_dns)
    yield from (f"URI:{name}" for name in cert.san_uri)
    yield from (f"email:{name}" for name in cert.san_email)
    yield from (f"IP:{address}" for address in cert.san_ip)
