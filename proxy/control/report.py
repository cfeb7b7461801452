"""Reports: what came of a reload, as a line of the log, as metrics, and as an answer to whoever asked."""

from __future__ import annotations

import time

from proxy.control.plane import Outcome, Result
from proxy.decide.text import printable
from proxy.observe.log import Log
from proxy.observe.metrics import Metrics
from proxy.snapshot.problems import MAX_LINE

WATCH = "watch"
"""The trigger that nobody waits behind: it reports no reload without changes."""


class Report:
    """Writes each outcome down."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics

    def __call__(self, outcome: Outcome) -> None:
        """Log and count the outcome of a reload."""
        self._count(outcome)
        if outcome.result is Result.UNCHANGED and outcome.triggers == (WATCH,):
            return
        level = "error" if outcome.problems else "info"
        for warning in outcome.warnings:
            self._log.write("warning", level="warning", detail=warning)
        event = "reload.failed" if outcome.problems else f"reload.{outcome.result}"
        self._log.write(event, level=level, **fields_of(outcome))

    def _count(self, outcome: Outcome) -> None:
        metrics = self._metrics
        good = not outcome.problems
        metrics.reloads[outcome.result.value] += 1
        metrics.last_reload_successful = good
        if good:
            metrics.last_reload_success = time.time()


def fields_of(outcome: Outcome) -> dict[str, object]:
    """Return what is said of an outcome; what there is none of is left out."""
    changes = outcome.changes
    fields: dict[str, object] = {
        "result": outcome.result.value,
        "trigger": ", ".join(outcome.triggers),
        "generation": outcome.generation,
        "ms": round(outcome.seconds * 1000, 1),
        "added": list(changes.added),
        "removed": list(changes.removed),
        "changed": list(changes.changed),
        "problems": [printable(problem, MAX_LINE) for problem in outcome.problems],
        "warnings": len(outcome.warnings),
    }
    return {name: value for name, value in fields.items() if value or name in {"generation", "ms"}}
