"""Status: how a certificate stands by what its responder said, or did not say.

An answer counts until it ends; a revocation for ever. Without one, ``hard`` refuses and ``soft`` admits, and a client
waits for an attempt that was not made yet; where the last one failed, only ``hard`` waits for the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from proxy.decide.facts import Certificate
from proxy.decide.peer.answers import Answer, Answers, Failure, Fault, Known, Status
from proxy.decide.peer.crl.evidence import moment
from proxy.decide.peer.crl.findings import MAX_SUBJECT, holder
from proxy.decide.peer.crl.verify import extension
from proxy.decide.peer.hosts import MAX_URLS
from proxy.decide.peer.needs import OcspNeed
from proxy.decide.peer.ocsp.evidence import OcspEvidence, of_answer, of_failure
from proxy.decide.peer.ocsp.response import ends_at
from proxy.decide.peer.ocsp.settings import UNKNOWN_REFRESH, Mode, Ocsp
from proxy.decide.peer.standing import Good, Standing, Waiting
from proxy.decide.text import printable
from proxy.decide.verdict import Reason, Refused

AGAIN: Final = 60.0
"""Seconds until a verdict that asked for a refresh, or goes without an answer, is reached anew and may ask again."""

_SPREAD: Final = 10
"""One part in ten of the time until a refresh is drawn from the need's key, so that not all are due at once."""

Vouch = Callable[[bytes], Standing]
"""Says how the certificate of a delegated responder stands (DER), by the bundle's CRLs."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked about: a certificate of a verified chain, its issuer there, and its depth; for which bundle."""

    cert: Certificate
    issuer: Certificate
    depth: int
    bundle: str


def standing_of(subject: Subject, ocsp: Ocsp, answers: Answers, vouch: Vouch, now: float) -> Standing:
    """Say how a certificate stands at Unix time ``now``, by what is known from its responder."""
    urls, fault = responders_of(subject.cert, ocsp)
    if fault is not None:
        return _unanswered(subject, ocsp, fault, inf)
    need = need_of(subject, ocsp, urls)
    known = answers.find(need.key)
    answer = known.answer
    if answer is None or now > ends_at(answer, ocsp.max_age):
        return _without_answer(subject, ocsp, need, known, now)
    standing = _by_answer(subject, ocsp, need, answer, failure=known.failure, now=now)
    if answer.delegate is None or answer.status is Status.REVOKED:
        return standing
    return _vouched(subject, ocsp, need, standing, vouch(answer.delegate))


def need_of(subject: Subject, ocsp: Ocsp, urls: tuple[str, ...]) -> OcspNeed:
    """Make the question about a certificate."""
    return OcspNeed(
        bundle=subject.bundle,
        urls=urls,
        certificate=subject.cert.der,
        issuer=subject.issuer.der,
        fingerprint=subject.cert.fingerprint,
        depth=subject.depth,
        digest=ocsp.digest.value,
        nonce=ocsp.nonce,
        max_age=ocsp.max_age,
        timeout=ocsp.timeout,
    )


def responders_of(cert: Certificate, ocsp: Ocsp) -> tuple[tuple[str, ...], OcspEvidence | None]:
    """Return who may be asked about a certificate; where nobody, the fault (at depth 0)."""
    if ocsp.responder is not None:
        return (ocsp.responder,), None
    named = _named_by(cert)
    if not named:
        detail = "the certificate names no OCSP responder (authority information access)"
        return (), OcspEvidence(0, "", fault=Fault.NO_RESPONDER, detail=detail)
    allowed = tuple(url for url in named if ocsp.hosts.allows(url))[:MAX_URLS]
    if not allowed:
        detail = f"its host is not in allow_hosts ({ocsp.hosts})"
        return (), OcspEvidence(0, printable(named[0], MAX_SUBJECT), fault=Fault.HOST_NOT_ALLOWED, detail=detail)
    return allowed, None


def _named_by(cert: Certificate) -> list[str]:
    access = extension(cert, x509.AuthorityInformationAccess) or ()
    places = [one.access_location for one in access if one.access_method == AuthorityInformationAccessOID.OCSP]
    return [place.value for place in places if isinstance(place, x509.UniformResourceIdentifier)]


def refresh_at(answer: Answer, ocsp: Ocsp, key: bytes) -> float:
    """Return when an answer should be asked for again, in Unix seconds: before it ends, and not too seldom."""
    wait = min(ocsp.refresh, UNKNOWN_REFRESH) if answer.status is Status.UNKNOWN else ocsp.refresh
    wait = min(wait, max(0.0, ends_at(answer, ocsp.max_age) - answer.fetched_at) / 2)
    return answer.fetched_at + wait * (1 - key[0] / 255 / _SPREAD)


def _by_answer(
    subject: Subject, ocsp: Ocsp, need: OcspNeed, answer: Answer, *, failure: Failure | None, now: float
) -> Good | Refused:
    due = refresh_at(answer, ocsp, need.key)
    if failure is not None:
        due = max(due, failure.retry_at)
    refresh = (need,) if now >= due else ()
    until = min(ends_at(answer, ocsp.max_age), now + AGAIN if refresh else due)
    evidence = of_answer(answer, failure, subject.depth)
    if answer.status is Status.GOOD:
        return Good((evidence,), until, refresh)
    told, who = printable(str(evidence), 2 * MAX_SUBJECT), holder(subject.cert)
    if answer.status is Status.UNKNOWN:
        detail = f"the responder does not know {who}: {told}"
        return Refused(Reason.OCSP_UNKNOWN, detail, subject.depth, until, (evidence,), refresh)
    when = "at a time that it does not tell" if answer.revoked_at is None else f"on {moment(answer.revoked_at)}"
    detail = f"{who} was revoked {when} ({answer.reason}), says {told}"
    return Refused(Reason.REVOKED, detail, subject.depth, until, (evidence,), refresh)


def _without_answer(subject: Subject, ocsp: Ocsp, need: OcspNeed, known: Known, now: float) -> Standing:
    failure = known.failure
    if failure is None:
        detail = f"no answer yet; it has {need.timeout:g} s"
        evidence = OcspEvidence(subject.depth, need.urls[0], fault=Fault.TIMED_OUT, detail=detail)
        return Waiting((need,), _unanswered(subject, ocsp, evidence, now + AGAIN))
    due = now >= failure.retry_at
    without = _unanswered(subject, ocsp, of_failure(failure, subject.depth), now + AGAIN if due else failure.retry_at)
    if isinstance(without, Good):
        return replace(without, refresh=(need,) if due else ())
    return Waiting((need,), without) if due else without


def _unanswered(subject: Subject, ocsp: Ocsp, evidence: OcspEvidence, until: float) -> Good | Refused:
    evidence = replace(evidence, depth=subject.depth)
    if ocsp.mode is Mode.SOFT:
        return Good((evidence,), until)
    detail = f"{holder(subject.cert)}: {printable(str(evidence), 2 * MAX_SUBJECT)}"
    return Refused(Reason.OCSP_UNAVAILABLE, detail, subject.depth, until, (evidence,))


def _vouched(
    subject: Subject, ocsp: Ocsp, need: OcspNeed, standing: Good | Refused, delegate: Standing
) -> Standing:
    """Believe an answer as far as its signer's own certificate stands (RFC 6960, section 4.2.2.2.1)."""
    match delegate:
        case Waiting():
            end = _vouched(subject, ocsp, need, standing, delegate.otherwise)
            if isinstance(end, Waiting):
                raise TypeError("what follows without an answer waits for none")
            return Waiting(delegate.needs, end)
        case Refused():
            detail = f"the responder's own certificate: {delegate.detail}"
            evidence = OcspEvidence(subject.depth, need.urls[0], fault=Fault.WRONG_SIGNER, detail=detail)
            return _unanswered(subject, ocsp, evidence, delegate.until)
        case Good():
            return replace(standing, until=min(standing.until, delegate.until))
