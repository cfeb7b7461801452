"""Answers: what came back for the needs of verdicts, kept in memory for the judges.

Only what was verified is an ``Answer``. An older one never replaces a newer one: a replayed answer is a failure. And a
failure never replaces an answer, for an answer that is still good needs no responder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import Final

from proxy.decide.bounded import put

MAX_ANSWERS: Final = 50_000
"""Needs whose outcome is kept, about 1 KB each: several times the clients that one origin has."""


REPLAY_RETRY: Final = 60.0
"""Seconds until another attempt after an answer that was older than the one before: time for a cache to catch up."""


class Status(StrEnum):
    """What a responder says of a certificate (RFC 6960, section 2.2)."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class Fault(StrEnum):
    """Why there is no answer: one word for the log, the metrics and the tests.

    The first two are known without asking, the next six are the network's, the rest are an answer's own.
    """

    NO_RESPONDER = "no-responder"
    HOST_NOT_ALLOWED = "host-not-allowed"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed-out"
    HTTP_STATUS = "http-status"
    REDIRECTED = "redirected"
    TOO_LARGE = "too-large"
    BUSY = "busy"
    MALFORMED = "malformed"
    RESPONDER_ERROR = "responder-error"
    UNKNOWN_EXTENSION = "unknown-extension"
    OTHER_CERTIFICATE = "other-certificate"
    WRONG_NONCE = "wrong-nonce"
    WRONG_SIGNER = "wrong-signer"
    WEAK_SIGNATURE = "weak-signature"
    BAD_SIGNATURE = "bad-signature"
    NOT_YET_VALID = "not-yet-valid"
    STALE = "stale"
    REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified OCSP answer about one certificate. Times are Unix seconds.

    ``source`` is where it came from, ``responder`` who signed it. ``next_update`` is None where the responder does not
    say when it will know more. ``revoked_at`` and ``reason`` are None but for a revoked certificate. ``signer_ends`` is
    when the certificate of a delegated responder ends; ``delegate`` is its DER, where its own status is asked for too.
    """

    status: Status
    this_update: float
    next_update: float | None
    produced_at: float
    fetched_at: float
    source: str
    responder: str
    revoked_at: float | None = None
    reason: str | None = None
    signer_ends: float = inf
    delegate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Unusable:
    """A response that is no answer: why, and in words for the operator."""

    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that brought no answer: why, in words for the operator, and when it is worth another try.

    ``source`` is who was asked; ``at`` and ``retry_at`` are Unix seconds.
    """

    fault: Fault
    detail: str
    source: str
    at: float
    retry_at: float


Outcome = Answer | Failure | None
"""How a need ended; None is a CRL that arrived, which the judges find among the CRLs."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known for one need: the newest answer, and how the last attempt since then failed, if it did."""

    answer: Answer | None = None
    failure: Failure | None = None


_NOTHING: Final = Known()


class Answers:
    """Remembers the outcome of at most ``limit`` needs; what was not asked for the longest goes first.

    Revocations are kept apart, in the same number, so that no flood of other answers drives them out.
    """

    __slots__ = ("_known", "_limit", "_revoked")

    def __init__(self, limit: int = MAX_ANSWERS) -> None:
        self._known: dict[bytes, Known] = {}
        self._revoked: dict[bytes, Known] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._known) + len(self._revoked)

    def __iter__(self) -> Iterator[Known]:
        yield from self._known.values()
        yield from self._revoked.values()

    def find(self, key: bytes) -> Known:
        """Return what is known under a need's key."""
        for table in (self._revoked, self._known):
            known = table.pop(key, None)
            if known is not None:
                table[key] = known  # now the youngest
                return known
        return _NOTHING

    def put(self, key: bytes, outcome: Outcome) -> bool:
        """Keep how a need ended; tell whether verdicts that were reached before may be others now.

        They may where a status has changed, or comes after a failure. A refreshed answer of the same status changes
        none; nor does a first one, for the verdict was pending, but for a revocation, which is always told.
        """
        before = self.find(key)
        after = _after(before, outcome)
        if after is before:
            return False
        self._known.pop(key, None)
        self._revoked.pop(key, None)
        table = self._revoked if _is_revoked(after) else self._known
        put(table, key, after, self._limit)
        changed = _status(before) is not _status(after)
        return changed and (before is not _NOTHING or _is_revoked(after))


def _after(before: Known, outcome: Outcome) -> Known:
    match outcome:
        case Answer():
            return replace(before, failure=_replayed(outcome)) if is_replay(outcome, before.answer) else Known(outcome)
        case Failure():
            return replace(before, failure=outcome)
        case None:
            return _NOTHING if before.failure is not None else before


def is_replay(answer: Answer, known: Answer | None) -> bool:
    """Tell whether ``answer`` is older than what is known. Of two of the same time, a revocation is believed."""
    if known is None:
        return False
    age, known_age = (answer.this_update, answer.produced_at), (known.this_update, known.produced_at)
    if answer.this_update == known.this_update and known.status is Status.REVOKED is not answer.status:
        return True
    return age < known_age


def _replayed(answer: Answer) -> Failure:
    detail = f"an answer ({answer.status}) that is older than the one before"
    return Failure(Fault.REPLAYED, detail, answer.source, answer.fetched_at, answer.fetched_at + REPLAY_RETRY)


def _is_revoked(known: Known) -> bool:
    return _status(known) is Status.REVOKED


def _status(known: Known) -> Status | None:
    return None if known.answer is None else known.answer.status
