"""Faults: an exception that nobody foresaw, as a log line shows it."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, Final

from proxy.decide.verdict import Reason

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
