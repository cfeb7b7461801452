"""Status: whether a chain's certificates are revoked, by all CRLs that speak of them (RFC 5280, section 6.3.3).

A listed certificate is revoked however old the list. Only that it is *not* listed goes out of date. Of several CRLs of
the same key and scope only the newest counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import Final

from cryptography import x509

from proxy.decide.facts import Certificate
from proxy.decide.peer.chain import Bundle, Peer, build_path, check_hashes, check_keys, check_length, peer_of
from proxy.decide.peer.crl.facts import ALL_REASONS, Crl, Scope
from proxy.decide.peer.crl.findings import (
    MAX_SUBJECT,
    Finding,
    entry_of,
    evidence_of,
    refuse_missing,
    refuse_revoked,
    refuse_stale,
)
from proxy.decide.peer.crl.names import NameKey, name_key
from proxy.decide.peer.crl.scope import Point, covered, points_of
from proxy.decide.peer.crl.settings import Revocation
from proxy.decide.peer.crl.store import is_future
from proxy.decide.peer.crl.wanted import Wanted
from proxy.decide.peer.depth import Check, looked_up
from proxy.decide.peer.standing import Good, Standing, Waiting
from proxy.decide.text import printable
from proxy.decide.verdict import Reason, Refused

MAX_SIGNERS: Final = 8
"""Certificates of a CRL's issuer that are tried; a CA has one or two keys in use at a time."""

MAX_NESTING: Final = 3
"""Of CRL issuers whose own status depends on other CRL issuers."""


def check_revocation(
    peer: Peer, chain: tuple[Certificate, ...], bundle: Bundle, revocation: Revocation, now: float
) -> Standing:
    """Judge a verified ``chain`` (leaf first, anchor last) that ``peer`` led to ``bundle`` with, at Unix time ``now``.

    The anchor is taken as it is. Where a CRL has to be fetched first, no refusal but for a revocation is final.
    """
    inquiry = _Inquiry(peer, chain, bundle, revocation, now)
    refused, good = None, Good((), revocation.crls.starts_after(now))
    for depth, cert in enumerate(looked_up(chain, revocation.check)):
        status = inquiry.status(cert, chain[depth + 1 :], depth)
        if isinstance(status, Good):
            good = Good((*good.evidence, *status.evidence), min(good.until, status.until))
            continue
        refused = status if refused is None or status.reason is Reason.REVOKED else refused
        if status.reason is Reason.REVOKED or inquiry.wanted.settled:
            break
    until = min(good.until, inquiry.until, inquiry.wanted.until)
    if refused is not None:
        found: Good | Refused = replace(refused, until=min(refused.until, until))
    else:
        found = replace(good, until=until, refresh=inquiry.wanted.in_use)
    return found if _is_final(found, inquiry.wanted) else Waiting(inquiry.wanted.needs, found)


def _is_final(found: Good | Refused, wanted: Wanted) -> bool:
    return wanted.settled or (isinstance(found, Refused) and found.reason is Reason.REVOKED)


class _Inquiry:
    """One chain's judgement; ``open_keys`` are the CRL issuers whose own status is being asked for.

    ``until`` is the Unix time up to which the CRL issuers beside the chain are believed.
    """

    def __init__(
        self, peer: Peer, chain: tuple[Certificate, ...], bundle: Bundle, revocation: Revocation, now: float,
        *, open_keys: frozenset[bytes] = frozenset(),
    ) -> None:  # fmt: skip
        self.wanted = Wanted(bundle.name, revocation, now)
        self._wanted_beside: list[Wanted] = []
        self._peer = peer
        self._chain = chain
        self._bundle = bundle
        self._revocation = revocation
        self._crls = revocation.crls
        self._now = now
        self._open = open_keys
        self._signers: dict[Crl, Certificate | str] = {}
        self.until = inf

    def status(self, cert: Certificate, above: tuple[Certificate, ...], depth: int) -> Good | Refused:
        """Judge one certificate; ``above`` is the rest of its chain, which starts with its issuer."""
        points = points_of(cert)
        faults: list[str] = []
        findings = list(self._findings(cert, above[0], points, faults))
        for finding in findings:
            if finding.listed is not None:
                return refuse_revoked(cert, finding, finding.listed, depth)
        direct = [finding for finding in findings if finding.by_issuer]
        used, missing, stale = self._sorted_out(direct or findings)
        if missing and direct:  # the CRLs of another key of the CA speak of all its certificates, too
            used, missing, old = self._sorted_out(findings)
            stale = stale or old
        if missing:
            faults.extend(self.wanted.ask(cert, above, depth))
            self.wanted.join(self._wanted_beside)
        else:
            self.wanted.use(cert, above, depth)
        if missing and stale:
            return refuse_stale(cert, stale[0], self._revocation.grace, depth)
        if missing and not self._revocation.allow_missing:
            return refuse_missing(cert, missing, faults, depth)
        until = min((finding.next_update + self._revocation.grace for finding in used), default=inf)
        return Good(tuple(evidence_of(finding.decisive, depth) for finding in used), until)

    def _findings(
        self, cert: Certificate, issuer: Certificate, points: tuple[Point, ...], faults: list[str]
    ) -> Iterator[Finding]:
        taken: set[tuple[NameKey, bytes | None, Scope]] = set()
        serials = name_key(cert.x509.issuer)
        for crl in self._candidates(cert, points):
            group = (crl.issuer_key, crl.authority_key, crl.scope)
            reasons = covered(crl, cert, points)
            if group in taken or not reasons:
                continue
            signer = self._signer(crl)
            if isinstance(signer, str):
                faults.append(f"{crl.source}: {signer}")
                continue
            taken.add(group)
            delta = self._delta(crl, signer)
            yield Finding(
                crl, delta, reasons, entry_of(crl, delta, serials, cert.serial),
                signer.spki_sha256 == issuer.spki_sha256,
            )  # fmt: skip

    def _candidates(self, cert: Certificate, points: tuple[Point, ...]) -> Iterator[Crl]:
        """Yield the complete CRLs that may speak of ``cert``, the newest of an issuer first, without those to come."""
        issuers = {name_key(cert.x509.issuer)}.union(*(point.issuers for point in points))
        for issuer in issuers:
            yield from (crl for crl in self._crls.of(issuer) if not is_future(crl, self._now))

    def _delta(self, crl: Crl, signer: Certificate) -> Crl | None:
        for delta in self._crls.deltas_of(crl):
            if not is_future(delta, self._now) and self._crls.fault_of(delta, signer) is None:
                return delta
        return None

    # --- who signed it

    def _signer(self, crl: Crl) -> Certificate | str:
        """Return the certificate that a CRL was signed with, or why there is none to believe it by."""
        if crl not in self._signers:
            self._signers[crl] = self._find_signer(crl)
        return self._signers[crl]

    def _find_signer(self, crl: Crl) -> Certificate | str:
        fault = f"no certificate of its issuer {printable(crl.issuer, MAX_SUBJECT)} is known"
        for signer in self._possible_signers(crl):
            refused = self._crls.fault_of(crl, signer) or self._path_fault(signer)
            if refused is None:
                return signer
            fault = f"{printable(signer.subject, MAX_SUBJECT)} has not issued it: {refused}"
        return fault

    def _possible_signers(self, crl: Crl) -> list[Certificate]:
        asked_for = (self._peer.leaf,) if self._open else ()  # a client's leaf signs no CRLs
        known = (*self._chain[1:], *asked_for, *self._revocation.issuers, *self._peer.intermediates)
        named = {cert.der: cert for cert in known if name_key(cert.x509.subject) == crl.issuer_key}
        return list(named.values())[:MAX_SIGNERS]

    def _path_fault(self, signer: Certificate) -> str | None:
        """Say why a CRL issuer is not to be believed: its own chain has to end at the same anchor (step f)."""
        if any(signer.der == cert.der for cert in self._chain[1:]):
            return None
        if signer.der in self._open:
            return None if _speaks_for_itself(signer) else "its own status depends on itself"
        beside = (*self._chain[1:], *self._revocation.issuers, *self._peer.intermediates)
        peer = peer_of((signer, *(cert for cert in beside if cert.der != signer.der)))
        path = self._built(peer)
        if isinstance(path, Refused):
            return path.detail
        if path[-1].der != self._chain[-1].der:
            return "its chain ends at another anchor than the certificate's"
        return self._revoked_path(signer, peer, path)

    def _built(self, peer: Peer) -> tuple[Certificate, ...] | Refused:
        path = build_path(peer, self._bundle, self._now)
        if isinstance(path, Refused):
            return path
        return check_length(path) or check_keys(path) or check_hashes(path) or path

    def _revoked_path(self, signer: Certificate, peer: Peer, path: tuple[Certificate, ...]) -> str | None:
        self.until = min(self.until, *(cert.not_after for cert in path))
        if self._revocation.check is not Check.CHAIN:
            return None
        if len(self._open) >= MAX_NESTING:
            return f"more than {MAX_NESTING} CRL issuers depend on one another"
        opened = self._open | {signer.der}
        inquiry = _Inquiry(peer, path, self._bundle, self._revocation, self._now, open_keys=opened)
        self._wanted_beside.append(inquiry.wanted)
        judged = {cert.der for cert in self._chain}
        for depth, cert in enumerate(path[:-1]):
            if cert.der not in judged:
                status = inquiry.status(cert, path[depth + 1 :], depth)
                self.until = min(self.until, status.until, inquiry.until)
                if isinstance(status, Refused):
                    return status.detail
        return None

    # --- what follows

    def _sorted_out(self, findings: list[Finding]) -> tuple[list[Finding], frozenset[x509.ReasonFlags], list[Finding]]:
        """Ask the CRLs that are up to date the longest first, until every reason for a revocation is asked for.

        Return those that answered, the reasons that nobody answered for, and those that are too old to.
        """
        missing = ALL_REASONS
        used: list[Finding] = []
        stale: list[Finding] = []
        for finding in sorted(findings, key=lambda finding: finding.next_update, reverse=True):
            if not missing & finding.reasons:
                continue
            if self._now > finding.next_update + self._revocation.grace:
                stale.append(finding)
                continue
            missing -= finding.reasons
            used.append(finding)
        return used, missing, stale


def _speaks_for_itself(signer: Certificate) -> bool:
    """Tell whether a CRL issuer's own certificate names it as the one to ask about it; its CA wanted it so."""
    own = name_key(signer.x509.subject)
    return any(own in point.issuers for point in points_of(signer))
