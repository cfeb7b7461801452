"""A run: round by round, task by task, every proxy in turn (and in the other order in the next round)."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import results
from bench.load.client import AnswerError
from bench.measures import MEASURES, Effort, warm
from bench.peers import PEERS
from bench.plan import OWN, Row, Task, by_task
from bench.processes import OPEN_FILES, Cores, Tree
from bench.results import Journal, Results
from bench.site import Site
from bench.stage import Subject, origin, stage

Say = Callable[[str], None]

FREE_MB: Final = 500
"""Disk that a run needs below its temporary folder."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run."""

    rows: Sequence[Row]
    peers: Sequence[str]
    rounds: int
    effort: Effort

    def about(self) -> dict[str, Any]:
        """Everything that must be the same for two measurements to be of one run."""
        return {
            "machine": results.machine(),
            "versions": {name: vars(PEERS[name].version()) for name in self.peers},
            "client": ssl.OPENSSL_VERSION,
            "rows": [row.name for row in self.rows],
            "rounds": self.rounds,
            "scale": self.effort.scale,
        }


def run(plan: Plan, journal_path: Path, say: Say) -> Results:
    """Measure everything that the journal does not have yet; return all of it.

    What fails is said, kept in the results, and left out: the other measurements are worth as much without it.
    """
    about = plan.about()
    journal = Journal.resume(journal_path, about)
    if journal.done:
        say(f"going on with {journal_path}: {len(journal.done)} measurements are there")
    _raise_limits()
    cores = Cores.split()
    ours = os.sched_getaffinity(0)
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="originward-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        if shutil.disk_usage(folder).free < FREE_MB * 1e6:
            raise OSError(f"{folder}: less than {FREE_MB} MB are free")
        os.sched_setaffinity(0, cores.load)
        stack.callback(os.sched_setaffinity, 0, ours)
        at = stack.enter_context(origin(folder, cores))
        for turn in range(plan.rounds):
            _Round(plan, journal, at, cores, turn, say, failed).run()
    found = Results(date=datetime.now(UTC).isoformat(timespec="seconds"), about={**about, "failed": failed})
    journal.fill(found, (row.name for row in plan.rows))
    return found


def _raise_limits() -> None:
    """Thousands of connections need files, here and in the proxies, which inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))


@dataclass(frozen=True)
class _Round:
    plan: Plan
    journal: Journal
    at: tuple[Site, Tree]
    cores: Cores
    turn: int
    say: Say
    failed: list[str]

    def run(self) -> None:
        for task, rows in by_task(self.plan.rows).items():
            names = [name for name in self._in_turn() if any(self._open(row, name) for row in rows)]
            if names:
                self._task(task, rows, names)

    def _in_turn(self) -> list[str]:
        """Every other round goes the other way round, against drift."""
        return list(self.plan.peers if self.turn % 2 == 0 else reversed(self.plan.peers))

    def _open(self, row: Row, name: str) -> bool:
        """Tell whether a proxy has to be measured for a row in this round."""
        return name in row.peers and PEERS[name].can(row.task) and not self.journal.has(self.turn, row.name, name)

    def _task(self, task: Task, rows: Sequence[Row], names: Sequence[str]) -> None:
        label = f"{self.turn}-{task.label}"
        with stage(task, names, self.at, self.cores, label) as subjects:
            for subject in subjects:
                warm(subject, self.plan.effort)
            for row in sorted(rows, key=lambda row: row.load.measure != "idle"):  # memory, before loads stir it
                for subject in subjects:
                    if self._open(row, subject.name):
                        self._measure(row, subject)

    def _measure(self, row: Row, subject: Subject) -> None:
        start = time.monotonic()
        try:
            figures = MEASURES[row.load.measure](subject, row.load, self.plan.effort)
        except (AnswerError, OSError) as fault:
            self.failed.append(f"round {self.turn + 1}, {row.name}, {subject.name}: {fault!r}")
            self.say(f"FAILED {self.failed[-1]}")
            return
        self.journal.add(self.turn, row.name, subject.name, figures)
        self.say(
            f"round {self.turn + 1}  {row.name:22s} {subject.name:10s} {figures[row.figure]:10.2f} {row.unit}"
            f"   ({time.monotonic() - start:.1f} s)"
        )
        gc.collect()


def present(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split proxies into those that are installed and those that are not."""
    missing = [name for name in names if PEERS[name].missing()]
    return [name for name in names if name not in missing], missing


def everybody(rows: Sequence[Row]) -> list[str]:
    """Return the proxies that the rows name, in the table's order; ours is always among them."""
    wanted = {OWN, *(name for row in rows for name in row.peers)}
    return [name for name in PEERS if name in wanted]
