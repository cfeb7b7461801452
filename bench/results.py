"""Results: one JSON file per run, with everything that is needed to read it later.

A run that is under way keeps its figures in a journal, a line for each measurement, so that one that was cut off goes
on where it stopped.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1
"""Raised when the files' shape changes."""

FOLDER: Final = Path(__file__).resolve().parent / "results"
JOURNAL: Final = FOLDER / "unfinished.jsonl"

Values = dict[str, list[float]]
"""Figure by name, one value for each round."""


class ResultsError(Exception):
    """A file of results that cannot be used: which, and why."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """A run: ``rows`` is row, then proxy, then figure. ``about`` is machine, versions, commit, effort."""

    date: str
    about: Mapping[str, Any]
    rows: dict[str, dict[str, Values]] = field(default_factory=dict)

    def median(self, row: str, peer: str, figure: str) -> float | None:
        """Return the median over the rounds, None where it was not measured."""
        values = self.rows.get(row, {}).get(peer, {}).get(figure)
        return statistics.median(values) if values else None

    def spread(self, row: str, peer: str, figure: str) -> tuple[float, float]:
        """Return the lowest and the highest of what was measured."""
        values = self.rows[row][peer][figure]
        return min(values), max(values)

    def ratio(self, row: str, figure: str, other: str, own: str = "originward") -> float | None:
        """Return our median as a multiple of another proxy's."""
        ours, theirs = self.median(row, own, figure), self.median(row, other, figure)
        return ours / theirs if ours is not None and theirs else None

    def add(self, row: str, peer: str, figures: Mapping[str, float]) -> None:
        """Append one round's figures."""
        kept = self.rows.setdefault(row, {}).setdefault(peer, {})
        for name, value in figures.items():
            kept.setdefault(name, []).append(value)

    def write(self, path: Path) -> None:
        """Write the file at once, or not at all."""
        text = {"format": FORMAT, "date": self.date, "about": self.about, "rows": _rounded(self.rows)}
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps(text, indent=1) + "\n")
        draft.replace(path)


def read(path: Path) -> Results:
    """Read a file of results. Raises ResultsError."""
    try:
        found = json.loads(path.read_text())
        if found["format"] != FORMAT:
            raise ResultsError(f"{path}: format {found['format']} is not {FORMAT}: measure again")
        return Results(date=found["date"], about=found["about"], rows=found["rows"])
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ResultsError(f"{path}: not a file of results: {fault!r}") from fault


def newest(folder: Path = FOLDER) -> Results | None:
    """Return the results with the latest date, None where there are none."""
    found = [read(path) for path in sorted(folder.glob("*.json"))]
    return max(found, key=lambda results: results.date, default=None)


def machine() -> dict[str, Any]:
    """Describe the machine, as far as figures depend on it."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _cpu() -> str:
    fields = dict(_field(line) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    named = fields.get("model name", "unknown")
    return named if "family" in named else f"{named} (family {fields.get('cpu family')}, model {fields.get('model')})"


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _rounded(rows: Mapping[str, Mapping[str, Values]]) -> dict[str, dict[str, Values]]:
    """Six significant digits are more than any of this means."""
    return {
        row: {peer: {name: [float(f"{v:.6g}") for v in values] for name, values in figures.items()}
              for peer, figures in peers.items()}
        for row, peers in rows.items()
    }  # fmt: skip


@dataclass
class Journal:
    """The measurements of a run under way. ``plan`` identifies the run: another plan starts anew."""

    path: Path
    plan: Mapping[str, Any]
    done: dict[tuple[int, str, str], dict[str, float]] = field(default_factory=dict)

    @classmethod
    def resume(cls, path: Path, plan: Mapping[str, Any]) -> Journal:
        """Open the journal; forget what another run left in it."""
        journal = cls(path, plan)
        lines = _lines(path)
        if lines and lines[0] == {"plan": plan}:
            for line in lines[1:]:
                journal.done[line["round"], line["row"], line["peer"]] = line["figures"]
        else:
            lines = [{"plan": plan}]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return journal

    def has(self, turn: int, row: str, peer: str) -> bool:
        """Tell whether a measurement was made already."""
        return (turn, row, peer) in self.done

    def add(self, turn: int, row: str, peer: str, figures: dict[str, float]) -> None:
        """Keep a measurement."""
        self.done[turn, row, peer] = figures
        with self.path.open("a") as file:
            file.write(json.dumps({"round": turn, "row": row, "peer": peer, "figures": figures}) + "\n")

    def fill(self, results: Results, order: Iterable[str]) -> None:
        """Put all measurements into ``results``, rows in ``order``."""
        places = {name: place for place, name in enumerate(order)}
        for (_, row, peer), figures in sorted(self.done.items(), key=lambda item: (places[item[0][1]], item[0][0])):
            results.add(row, peer, figures)


def _lines(path: Path) -> list[Any]:
    """Read what is whole: a run may have been cut off in the middle of a line."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
