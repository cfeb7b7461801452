"""Evidence: what a responder said, or why it said nothing, for the log and for whoever asks why."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from proxy.decide.peer.answers import Answer, Failure, Fault
from proxy.decide.peer.crl.evidence import moment

UNAVAILABLE = "unavailable"
"""The status where there is no answer."""


@dataclass(frozen=True, slots=True)
class OcspEvidence:
    """An OCSP answer about the certificate at ``depth`` of the chain, or what came instead of one.

    ``source`` is the responder's address, empty where the certificate names none. ``answer`` is None where ``status``
    is ``unavailable``; ``fault`` and ``detail`` say why the last attempt brought none, ``retry_at`` (Unix seconds) when
    the next one is due, if there is one.
    """

    depth: int
    source: str
    answer: Answer | None = None
    fault: Fault | None = None
    detail: str | None = None
    retry_at: float | None = None

    @property
    def status(self) -> str:
        """``good``, ``revoked``, ``unknown`` or ``unavailable``."""
        return UNAVAILABLE if self.answer is None else self.answer.status.value

    def __str__(self) -> str:
        """Name the responder and its answer as an operator looks for them."""
        answer = self.answer
        if answer is None:
            asked = f" from {self.source}" if self.source else ""
            retry = "" if self.retry_at is None else f"; asked again from {moment(self.retry_at)}"
            return f"no OCSP answer{asked}: {self.fault}: {self.detail}{retry}"
        end = "no next update" if answer.next_update is None else f"next update {moment(answer.next_update)}"
        dates = f"from {moment(answer.this_update)}, {end}"
        return f"OCSP answer {answer.status} from {self.source} (signed by {answer.responder}; {dates})"


def of_answer(answer: Answer, failure: Failure | None, depth: int) -> OcspEvidence:
    """Return what an answer says, and how the last attempt to renew it failed, if it did."""
    if failure is None:
        return OcspEvidence(depth, answer.source, answer)
    return OcspEvidence(depth, answer.source, answer, failure.fault, failure.detail, _retry_at(failure))


def of_failure(failure: Failure, depth: int) -> OcspEvidence:
    """Return why there is no answer."""
    return OcspEvidence(depth, failure.source, None, failure.fault, failure.detail, _retry_at(failure))


def _retry_at(failure: Failure) -> float | None:
    return None if failure.retry_at == inf else failure.retry_at
