"""What the processes of an instance hold: memory, descriptors, zombies, CPU."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.gateway import resident
from tests.support.harness import PATIENCE

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of a tree of processes: octets resident, open descriptors, processes, and how many of these are zombies."""

    resident: int
    descriptors: int
    processes: int
    zombies: int

    def __str__(self) -> str:
        """Write it for the report."""
        return f"{self.resident / 2**20:.1f} MiB, {self.descriptors} descriptors, {self.processes} processes"


def tree(process: int) -> list[int]:
    """Return a process and all below it."""
    below = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(pid for child in below for pid in tree(int(child)))]


def state(process: int) -> list[str]:
    """Return the fields of a process's ``stat`` from its state on."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def footprint(process: int, processes: int) -> Footprint:
    """Look at a tree of processes once it has ``processes`` again: the helper's children come and go."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            seen = _look(tree(process))
        except (OSError, IndexError):
            continue  # one ended while it was looked at
        if (seen.processes == processes and not seen.zombies) or time.monotonic() > deadline:
            return seen
        time.sleep(0.01)


def _look(processes: list[int]) -> Footprint:
    living = [pid for pid in processes if state(pid)[0] != "Z"]
    descriptors = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in living)
    return Footprint(sum(map(resident, living)), descriptors, len(processes), len(processes) - len(living))


def busy(process: int) -> float:
    """Return the seconds of CPU that one process has used."""
    fields = state(process)
    return (int(fields[11]) + int(fields[12])) / TICKS
