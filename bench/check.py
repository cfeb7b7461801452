"""The guard: ratios to nginx in a fresh run, beside those of the stored one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.plan import ROWS
from bench.results import Results, ResultsError

ALLOWED: Final = 1.15
"""How much a ratio may grow: rounds scatter by a few per cent, a slip of a developer costs more."""

ALLOWED_LATENCY: Final = 2.0
"""The same for latencies: a p99 hangs on some dozen requests and on what else the machine does."""

YARDSTICK: Final = "nginx"


@dataclass(frozen=True)
class Report:
    """What the comparison says: a line for each row, and the names of those that have worsened."""

    text: str
    worse: tuple[str, ...]


def compare(stored: Results, fresh: Results) -> Report:
    """Compare every row that both have. Raises ResultsError where there is none."""
    lines, worse = [f"ratios to {YARDSTICK}: stored {stored.date}, now {fresh.date}"], []
    for row in ROWS:
        before, now = (run.ratio(row.name, row.figure, YARDSTICK) for run in (stored, fresh))
        if before is None or now is None:
            continue
        bad = now > before * (ALLOWED_LATENCY if row.load.measure == "latency" else ALLOWED)
        worse += [row.name] * bad
        verdict = "WORSE" if bad else "ok"
        lines.append(f"{row.name:24s} {before:6.2f} -> {now:6.2f}  {now / before - 1:+7.1%}  {verdict}")
    if len(lines) == 1:
        raise ResultsError("the two runs have no row in common that was measured beside nginx")
    return Report("\n".join(lines), tuple(worse))
