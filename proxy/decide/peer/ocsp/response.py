"""Response: what a responder sent, held against what was asked, by whom and when (RFC 6960, sections 3.2 and 4.2).

Only what passes all of it is an ``Answer``; everything else is a named fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.ocsp import (
    OCSPCertStatus,
    OCSPResponse,
    OCSPResponseStatus,
    OCSPSingleResponse,
    load_der_ocsp_response,
)

from proxy.decide.facts import MalformedCertificateError, read_certificate
from proxy.decide.peer.answers import Answer, Fault, Status, Unusable
from proxy.decide.peer.crl.evidence import moment
from proxy.decide.peer.needs import Nonce, OcspNeed
from proxy.decide.peer.ocsp.request import DIGESTS, certificate_id
from proxy.decide.peer.ocsp.settings import SKEW, UNDATED
from proxy.decide.peer.ocsp.signer import UnusableError, find_signer
from proxy.decide.peer.ocsp.singles import critical_extensions
from proxy.decide.text import printable

MAX_RESPONSE: Final = 64 * 1024
"""Octets of a response: most have 500 to 3000, with the responder's certificate and a few above it."""

_UNREADABLE: Final = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion,
    x509.UnsupportedGeneralNameType, MalformedCertificateError,
)  # fmt: skip

_STATUS: Final = {
    OCSPCertStatus.GOOD: Status.GOOD,
    OCSPCertStatus.REVOKED: Status.REVOKED,
    OCSPCertStatus.UNKNOWN: Status.UNKNOWN,
}

_WORDS: Final = {
    OCSPResponseStatus.MALFORMED_REQUEST: "malformedRequest: it did not understand the request",
    OCSPResponseStatus.INTERNAL_ERROR: "internalError",
    OCSPResponseStatus.TRY_LATER: "tryLater",
    OCSPResponseStatus.SIG_REQUIRED: "sigRequired: it wants signed requests, which are not supported",
    OCSPResponseStatus.UNAUTHORIZED: "unauthorized: it may not, or cannot, answer for this CA",
}
"""RFC 6960, section 2.3; none of these responses is signed, so they say nothing about the certificate."""


def read_answer(der: bytes, need: OcspNeed, nonce: bytes | None, source: str, now: float) -> Answer | Unusable:
    """Return the verified answer to a need, or why a response is none.

    ``nonce`` is what the request carried (None: nothing, as with a response out of a file or a cache), ``source`` where
    the response came from, ``now`` the Unix time in seconds.
    """
    try:
        return _read(load_der_ocsp_response(der), need, nonce, source, now)
    except UnusableError as fault:
        return Unusable(fault.fault, printable(str(fault)))
    except _UNREADABLE as fault:
        return Unusable(Fault.MALFORMED, printable(f"the response cannot be read: {fault}"))


def _read(response: OCSPResponse, need: OcspNeed, nonce: bytes | None, source: str, now: float) -> Answer:
    if response.response_status is not OCSPResponseStatus.SUCCESSFUL:
        raise UnusableError(Fault.RESPONDER_ERROR, f"the responder answers {_WORDS[response.response_status]}")
    issuer = read_certificate(need.issuer)
    signer = find_signer(response, issuer, now)
    _check_extensions(response)
    _check_nonce(response, need, nonce)
    single = _ours(response, need)
    produced_at = response.produced_at_utc.timestamp()
    answer = Answer(
        status=_STATUS[single.certificate_status],
        this_update=single.this_update_utc.timestamp(),
        next_update=_unix(single.next_update_utc),
        produced_at=produced_at,
        fetched_at=now,
        source=source,
        responder=signer.name,
        revoked_at=_unix(single.revocation_time_utc),
        reason=_reason(single),
        signer_ends=signer.ends,
        delegate=signer.unchecked,
    )
    _check_times(answer, need.max_age, now)
    return answer


def ends_at(answer: Answer, max_age: float | None) -> float:
    """Return when an answer stops to count, in Unix seconds, skew included; a revocation never does.

    That is its nextUpdate, or ``UNDATED`` seconds where it has none; ``max_age`` seconds at most, where there is one.
    """
    if answer.status is Status.REVOKED:
        return float("inf")
    end = answer.this_update + UNDATED if answer.next_update is None else answer.next_update
    if max_age is not None:
        end = min(end, answer.this_update + max_age)
    return min(end + SKEW, answer.signer_ends)


def _check_extensions(response: OCSPResponse) -> None:
    """Refuse what asks to be understood and is not (section 4.4); of the response's own only the nonce is known."""
    for extension in response.extensions:
        if extension.critical and not isinstance(extension.value, x509.OCSPNonce):
            raise UnusableError(
                Fault.UNKNOWN_EXTENSION, f"its critical extension {extension.oid.dotted_string} is not known"
            )
    for oid in critical_extensions(response.tbs_response_bytes):
        raise UnusableError(Fault.UNKNOWN_EXTENSION, f"the critical extension {oid} of an answer in it is not known")


def _check_nonce(response: OCSPResponse, need: OcspNeed, nonce: bytes | None) -> None:
    """Ask for our nonce, if one comes back (RFC 9654, section 2.1); whether one has to, the need says."""
    if nonce is None:
        return
    try:
        came = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        if need.nonce is Nonce.REQUIRE:
            raise UnusableError(Fault.WRONG_NONCE, "it lacks the nonce of the request (nonce: require)") from None
        return
    if came != nonce:
        raise UnusableError(Fault.WRONG_NONCE, "its nonce is not that of the request: an answer to somebody else")


def _ours(response: OCSPResponse, need: OcspNeed) -> OCSPSingleResponse:
    """Return what is said of our certificate; of several, a revocation, else the newest."""
    found = [single for single in response.responses if _is_ours(single, need)]
    if not found:
        others = ", ".join(f"{serial:X}" for serial in _serials(response))
        raise UnusableError(Fault.OTHER_CERTIFICATE, f"it is about other certificates: serial {others or 'none'}")
    revoked = (single for single in found if single.certificate_status is OCSPCertStatus.REVOKED)
    return next(revoked, None) or max(found, key=lambda single: single.this_update_utc)


def _is_ours(single: OCSPSingleResponse, need: OcspNeed) -> bool:
    try:
        digest = single.hash_algorithm.name
    except UnsupportedAlgorithm:
        return False
    if digest not in DIGESTS:
        return False
    own = certificate_id(need, digest)
    return (single.serial_number, single.issuer_name_hash, single.issuer_key_hash) == (
        own.serial_number, own.issuer_name_hash, own.issuer_key_hash,
    )  # fmt: skip


def _serials(response: OCSPResponse) -> Iterator[int]:
    yield from (single.serial_number for single in response.responses)


def _check_times(answer: Answer, max_age: float | None, now: float) -> None:
    """Refuse an answer of the future, and one that is over; a revocation is never over."""
    begins = max(answer.this_update, answer.produced_at)
    if now < begins - SKEW:
        raise UnusableError(Fault.NOT_YET_VALID, f"it is of {moment(begins)}, more than {SKEW:.0f} s from now")
    if answer.next_update is not None and answer.next_update < answer.this_update:
        raise UnusableError(Fault.MALFORMED, "its nextUpdate is before its thisUpdate")
    if now > ends_at(answer, max_age):
        raise UnusableError(Fault.STALE, f"it is of {moment(answer.this_update)}, and is over: {_end(answer, max_age)}")


def _end(answer: Answer, max_age: float | None) -> str:
    if answer.next_update is None:
        return f"without a nextUpdate it counts for {UNDATED if max_age is None else min(UNDATED, max_age):.0f} s"
    limit = "" if max_age is None else f", max_age {max_age:.0f} s"
    return f"nextUpdate {moment(answer.next_update)}{limit}"


def _unix(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _reason(single: OCSPSingleResponse) -> str | None:
    if single.certificate_status is not OCSPCertStatus.REVOKED:
        return None
    reason = single.revocation_reason
    return "unspecified" if reason is None else reason.value
