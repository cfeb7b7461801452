"""Faults: an exception that nobody foresaw, and what is said of it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from proxy.decide.verdict import Reason
from proxy.observe.log import Log
from proxy.observe.metrics import Metrics

MAX_TRACE: Final = 8
"""Calls of a trace that are shown, the innermost last: enough to find the place."""


def fault_fields(fault: BaseException) -> dict[str, Any]:
    """Return what whoever has to mend it asks first: what was raised, and where."""
    frames = traceback.extract_tb(fault.__traceback__)[-MAX_TRACE:]
    return {
        "reason": Reason.INTERNAL_ERROR.value,
        "detail": f"{type(fault).__name__}: {fault}",
        "trace": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }


def report_fault(log: Log, metrics: Metrics, where: str, fault: BaseException) -> None:
    """Count and log a fault; whoever met it closes what it happened to."""
    metrics.internal_errors += 1
    fields = fault_fields(fault)
    log.refuse("internal.error", same=("internal.error", where, *fields["trace"][-1:]), where=where, **fields)


def caught_by_loop(context: Mapping[str, Any]) -> tuple[str, BaseException]:
    """Return where a fault was met and what it is, out of what the event loop tells its exception handler."""
    message = str(context.get("message", "event loop"))
    return message, context.get("exception") or RuntimeError(message)
