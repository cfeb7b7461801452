"""``python -m tests.soak``: run the soak, print what was promised and seen, and fail where a promise was broken."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.acts import broken_files, crowd, idle_supervisor, killed_supervisor, killed_workers, reloads
from tests.soak.place import Report, place

KILLED = 3
"""Workers that are killed in each round."""

HELD = 200
"""Idle connections of which a killed worker has some."""


def soak(workers: int, options: argparse.Namespace, report: Report) -> None:
    """Go through all acts with so many workers, and through those that can be repeated until the time is over."""
    end = time.monotonic() + options.minutes * 60 / len(options.workers)
    print(f"-- workers: {workers}", flush=True)  # noqa: T201 - this is the report
    with tempfile.TemporaryDirectory() as folder, place(Path(folder), workers, report) as here:
        crowd(here, options.connections, options.identities)
        broken_files(here)
        while True:
            reloads(here, options.reloads, options.quiet)
            if workers > 1:
                idle_supervisor(here, options.quiet)
                killed_workers(here, KILLED, HELD)
            if time.monotonic() > end:
                break
        if workers > 1:
            killed_supervisor(here)


def main() -> int:
    """Read the arguments, run the soak, and return the status to exit with."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=4, help="rounds begin until then (default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="how many, one instance after the other")
    parser.add_argument("--connections", type=int, default=5000, help="open at a time (default: %(default)s)")
    parser.add_argument("--identities", type=int, default=50, help="that they belong to (default: %(default)s)")
    parser.add_argument("--reloads", type=int, default=100, help="in a row, in each round (default: %(default)s)")
    parser.add_argument("--quiet", type=float, default=10, help="seconds without reloads to compare with")
    options = parser.parse_args()
    report = Report()
    for workers in options.workers:
        soak(workers, options, report)
    print(f"{report.broken} promises broken" if report.broken else "all promises kept")  # noqa: T201
    return int(report.broken > 0)


if __name__ == "__main__":
    sys.exit(main())
