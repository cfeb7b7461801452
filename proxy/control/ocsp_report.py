"""Report: what the operator learns of responders: one line per change, floods folded, and counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final

from proxy.control.ocsp_responder import Responder, Trouble
from proxy.decide.peer.answers import Answer, Unusable
from proxy.decide.peer.needs import OcspNeed
from proxy.observe.faults import fault_fields
from proxy.observe.fields import iso_time
from proxy.observe.log import Log, iso_millis
from proxy.observe.ocsp import OcspMetrics, ResponderMetrics

WHERE: Final = "ocsp"
"""Where a fault of ours happened."""


class Report:
    """Writes to ``log``, and counts in ``metrics``. ``clock`` gives Unix seconds."""

    def __init__(self, log: Log, metrics: OcspMetrics, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.metrics = metrics
        self._log = log

    def responder(self, name: str) -> ResponderMetrics:
        """Return the counters of a responder, which start from zero."""
        return self.metrics.responders.setdefault(name, ResponderMetrics())

    def forget(self, name: str) -> None:
        """Drop the counters of a responder that is out of use."""
        self.metrics.responders.pop(name, None)

    def down(self, responder: Responder, need: OcspNeed, url: str, fault: Unusable) -> None:
        """Say once that a responder does not answer, and once more when it fails otherwise."""
        before = responder.trouble
        trouble = responder.trouble = before or Trouble(fault.fault, self._clock())
        trouble.failures += 1
        if before is None or before.fault is not fault.fault:
            trouble.fault = fault.fault
            self._failed((WHERE, responder.name, fault.fault), need, url, fault)

    def unusable(self, responder: Responder, need: OcspNeed, url: str, fault: Unusable) -> None:
        """Say that a responder's answer about one certificate is none."""
        self._failed((WHERE, responder.name, fault.fault), need, url, fault)

    def _failed(self, same: Hashable, need: OcspNeed, url: str, fault: Unusable) -> None:
        self._log.refuse(
            "ocsp.failed", same=same, source=url, ocsp_fault=fault.fault.value, detail=fault.detail, bundle=need.bundle,
            fingerprint=f"sha256:{need.fingerprint}", depth=need.depth,
        )  # fmt: skip

    def up(self, responder: Responder, over: Trouble | None) -> None:
        """Say that a responder answers again, if it did not before."""
        if over is None:
            return
        now = self._clock()
        responder.metrics.left_alone = False
        self._log.write(
            "ocsp.recovered", responder=responder.name, ocsp_fault=over.fault.value, failures=over.failures,
            since=iso_millis(over.since), seconds=round(now - over.since, 3),
        )  # fmt: skip

    def answered(self, need: OcspNeed, known: Answer | None, answer: Answer) -> None:
        """Say that a certificate's status is another one than it was."""
        if known is None or known.status is answer.status:
            return
        self._log.write(
            "ocsp.status-changed", level="warning", source=answer.source, bundle=need.bundle,
            fingerprint=f"sha256:{need.fingerprint}", depth=need.depth, before=known.status.value,
            status=answer.status.value, this_update=iso_time(answer.this_update), revocation_reason=answer.reason,
            revoked_at=None if answer.revoked_at is None else iso_time(answer.revoked_at),
        )  # fmt: skip

    def saved(self, *, done: bool) -> None:
        """Count a response that was saved, or one that the disk was too slow for."""
        if done:
            self.metrics.saved += 1
        else:
            self.metrics.unsaved += 1

    def unsaved(self, fault: OSError) -> None:
        """Say that the cache cannot be written to: a restart will have to ask anew."""
        self.metrics.unsaved += 1
        self._log.refuse("ocsp.unsaved", same=(WHERE, fault.errno), detail=str(fault))

    def fault(self, url: str, fault: Exception) -> None:
        """Report an exception that nobody foresaw."""
        fields = fault_fields(fault)
        self._log.refuse("internal.error", same=(WHERE, *fields["trace"][-1:]), where=WHERE, source=url, **fields)
