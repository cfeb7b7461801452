"""Findings: what a verified CRL says of one certificate, and the refusals that follow from it, with their evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Final

from cryptography import x509

from proxy.decide.facts import Certificate
from proxy.decide.peer.crl.evidence import REASONS, Evidence, moment
from proxy.decide.peer.crl.facts import ALL_REASONS, Crl
from proxy.decide.peer.crl.index import REMOVE_FROM_CRL, Entry
from proxy.decide.peer.crl.names import NameKey, name_key
from proxy.decide.text import printable
from proxy.decide.verdict import Reason, Refused

MAX_SUBJECT: Final = 256
"""Characters of a name in a refusal's detail."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verified CRL that speaks of a certificate, with the delta CRL on top of it, and what they say."""

    crl: Crl
    delta: Crl | None
    reasons: frozenset[x509.ReasonFlags]
    listed: Entry | None
    by_issuer: bool

    @property
    def decisive(self) -> Crl:
        """The one of the two that is up to date for longer."""
        newer = self.delta is not None and self.delta.next_update >= self.crl.next_update
        return self.delta if newer and self.delta is not None else self.crl

    @property
    def next_update(self) -> float:
        """Until when the two together are up to date (RFC 5280, section 5.2.4), in Unix seconds."""
        return self.decisive.next_update


def refuse_revoked(cert: Certificate, finding: Finding, entry: Entry, depth: int) -> Refused:
    """Refuse a certificate that is listed, naming the list and its entry."""
    listing = finding.crl
    if finding.delta is not None and find(finding.delta, name_key(cert.x509.issuer), cert.serial) is not None:
        listing = finding.delta
    reason = REASONS[entry.reason]
    evidence = replace(evidence_of(listing, depth), revoked_at=entry.revoked_at, reason=reason)
    when = moment(entry.revoked_at)
    detail = f"{holder(cert)} was revoked on {when} ({reason}), says {printable(str(evidence), 2 * MAX_SUBJECT)}"
    # A certificate on hold, or one that was never meant, is released by another CRL: by another snapshot.
    return Refused(Reason.REVOKED, detail, depth, inf, (evidence,))


def refuse_stale(cert: Certificate, finding: Finding, grace: float, depth: int) -> Refused:
    """Refuse a certificate that is not listed as far as an outdated list can tell."""
    evidence = evidence_of(finding.decisive, depth)
    over = f", and its grace of {grace:.0f} s is over" if grace else ""
    detail = f"out of date for {holder(cert)}: {printable(str(evidence), 2 * MAX_SUBJECT)}{over}"
    return Refused(Reason.CRL_STALE, detail, depth, inf, (evidence,))


def refuse_missing(
    cert: Certificate, reasons: frozenset[x509.ReasonFlags], faults: list[str], depth: int
) -> Refused:
    """Refuse a certificate that nobody speaks of for some ``reasons``; ``faults`` say what was tried."""
    part = "" if reasons == ALL_REASONS else f" for the reasons {', '.join(sorted(reason.value for reason in reasons))}"
    tried = f"; {printable('; '.join(faults), 2 * MAX_SUBJECT)}" if faults else ""
    issuer = printable(cert.issuer, MAX_SUBJECT)
    return Refused(Reason.CRL_MISSING, f"no CRL of {issuer} speaks of {holder(cert)}{part}{tried}", depth)


def entry_of(crl: Crl, delta: Crl | None, issuer: NameKey, serial: int) -> Entry | None:
    """Return the entry that revokes a certificate: steps i to k."""
    entry = None if delta is None else find(delta, issuer, serial)
    if entry is None:
        return find(crl, issuer, serial)
    return None if entry.reason == REMOVE_FROM_CRL else entry


def find(crl: Crl, issuer: NameKey, serial: int) -> Entry | None:
    """Look a serial up among the certificates of an issuer."""
    index = crl.entries.get(issuer)
    return None if index is None else index.find(serial)


def evidence_of(crl: Crl, depth: int) -> Evidence:
    """Return what a CRL says of a certificate that it does not list."""
    return Evidence(
        depth, crl.source, crl.issuer, crl.number, crl.base, crl.this_update, crl.next_update, fetched_at=crl.fetched_at
    )


def holder(cert: Certificate) -> str:
    """Name a certificate as its CA's lists do, by serial number, and its holder."""
    digits = f"{cert.serial:X}"  # in whole octets, as openssl writes it
    serial = digits.zfill(len(digits) + len(digits) % 2) if cert.serial >= 0 else digits
    return f"serial {serial} of {printable(cert.subject, MAX_SUBJECT)}"
