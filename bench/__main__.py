"""The commands: ``python -m bench run|table|check|profile``. Exit 0 yes, 1 the answer is no, 2 it cannot be done."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from bench import check, profile, results, table
from bench.install import install
from bench.load.client import AnswerError
from bench.measures import Effort
from bench.peers import PEERS
from bench.peers.model import InstallError
from bench.plan import BY_NAME, OWN, ROWS, Row
from bench.results import JOURNAL, Results, ResultsError
from bench.run import Plan, everybody, present, run

NO: Final = 1
CANNOT: Final = 2
QUICK: Final = Path("build") / "bench.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (InstallError, AnswerError, ResultsError, RuntimeError, OSError) as fault:
        print(f"bench: {fault}", file=sys.stderr)
    return CANNOT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="originward beside other proxies.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    measure = commands.add_parser("run", help="measure, store the results, draw them, write the README's table")
    _run_options(measure)
    where = f"bench/results/DATE.json with --full, which also writes the README's table; else {QUICK}"
    measure.add_argument("--output", type=Path, help=f"where the results go ({where})")
    measure.add_argument("--journal", type=Path, default=JOURNAL, help="where an unfinished run is kept")
    measure.set_defaults(command=_run)
    draw = commands.add_parser("table", help="write the README's table and the plots from the newest results")
    draw.set_defaults(command=lambda _: _publish())
    compare = commands.add_parser("check", help="measure again; exit 1 where a ratio to nginx has worsened")
    compare.add_argument("fresh", type=Path, nargs="?", help="compare this file instead of measuring")
    compare.add_argument("--stored", type=Path, help="with this file (the newest stored one)")
    _run_options(compare)
    compare.set_defaults(command=_check)
    profile.add_command(commands)
    return parser


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--full", action="store_true", help="all rows, not only those that take minutes")
    parser.add_argument("--only", type=_rows, help="these rows, separated by commas, instead")
    parser.add_argument("--peers", type=_peers, help=f"these proxies, instead of all: {','.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each; the median counts (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the load, for a try-out (1)")
    parser.add_argument("--no-install", action="store_true", help="leave out proxies that are not installed")


def _rows(text: str) -> list[Row]:
    return [BY_NAME[_among(name, BY_NAME)] for name in text.split(",")]


def _peers(text: str) -> list[str]:
    return [_among(name, PEERS) for name in text.split(",")]


def _among(name: str, known: Collection[str]) -> str:
    if name not in known:
        raise argparse.ArgumentTypeError(f"{name!r} is not among {', '.join(known)}")
    return name


def _measure(options: argparse.Namespace, journal: Path) -> Results:
    rows = options.only or [row for row in ROWS if options.full or row.quick]
    names = [name for name in everybody(rows) if options.peers is None or name in {OWN, *options.peers}]
    install([OWN] if options.no_install else names)
    names, missing = present(names)
    if missing:
        print(f"left out, not installed: {', '.join(missing)}")
    plan = Plan(rows=rows, peers=names, rounds=options.rounds, effort=Effort(options.scale))
    return run(plan, journal, lambda line: print(line, flush=True))


def _run(options: argparse.Namespace) -> int:
    found = _measure(options, options.journal)
    stored = options.full and options.output is None
    path = results.FOLDER / f"{found.date[:19].replace(':', '')}.json" if stored else options.output or QUICK
    found.write(path)
    options.journal.unlink(missing_ok=True)
    print(f"\n{table.render(found)}\nwritten to {path}")
    if stored:
        _publish()
    if found.about["failed"]:
        print("bench: not everything could be measured:", *found.about["failed"], sep="\n  ", file=sys.stderr)
        return CANNOT
    return NO if table.missed(found) else 0


def _publish() -> int:
    table.publish(results.newest())
    return 0


def _check(options: argparse.Namespace) -> int:
    stored = results.read(options.stored) if options.stored else results.newest()
    if stored is None:
        raise ResultsError(f"{results.FOLDER} has no results to compare with: make bench-full")
    if options.fresh:
        fresh = results.read(options.fresh)
    else:
        with tempfile.TemporaryDirectory() as folder:
            fresh = _measure(options, Path(folder) / "journal")
    report = check.compare(stored, fresh)
    print(report.text)
    return NO if report.worse else 0


if __name__ == "__main__":
    sys.exit(main())
