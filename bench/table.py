"""Tables: made from the newest results, never typed. The README has the main rows, bench/results/README.md all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from bench import charts
from bench.peers import PEERS
from bench.plan import KINDS, MAIN, OWN, ROWS, SELF, Row
from bench.results import FOLDER, Results

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
BEGIN: Final = "<!-- bench: made by `python -m bench table` -->\n"
END: Final = "<!-- bench: end -->\n"
NOTHING: Final = "No run is stored yet: `make bench-full` makes one and writes its figures here.\n"


def short(results: Results | None) -> str:
    """Return what the README shows: the main rows, targets, and the plots."""
    if results is None:
        return NOTHING
    return "\n".join([
        _grid(results, MAIN),
        _caption(results),
        *(f"![{text}](bench/results/{name})\n" for name, text in charts.NAMES.items()),
    ])  # fmt: skip


def whole(results: Results | None) -> str:
    """Return the page of all rows."""
    if results is None:
        return "# Results\n\n" + NOTHING
    parts = ["# Results\n", _caption(results), _versions(results), "## Loads\n", _grid(results, (*MAIN, *KINDS))]
    series = [_series(results, name) for name in dict.fromkeys(row.series[0] for row in ROWS if row.series)]
    others = _grid(results, [row for row in ROWS if row.series is None and row not in (*MAIN, *KINDS)])
    return "\n".join([*parts, "## Size\n", *filter(None, series), others, "## Targets\n", _targets(results)])


def render(results: Results) -> str:
    """Return the tables that have something to show, for a terminal."""
    return "\n".join([_grid(results, ROWS), _targets(results)])


def missed(results: Results) -> list[str]:
    """Return a line for each target that the results miss."""
    return [line for line, good in _judged(results) if not good]


def publish(results: Results | None, readme: Path = README, folder: Path = FOLDER) -> None:
    """Write README's part between the markers, the page of all rows, and the plots."""
    readme.write_text(inserted(readme.read_text(), short(results)))
    (folder / "README.md").write_text(whole(results))
    if results is not None:
        for name in charts.NAMES:
            (folder / name).write_text(charts.draw(name, results))


def inserted(page: str, part: str) -> str:
    """Return the page with ``part`` between its markers. Raises ValueError where they are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the markers {BEGIN!r} and {END!r}")
    return before + BEGIN + part + END + after


def _grid(results: Results, rows: Iterable[Row]) -> str:
    names = [name for name in PEERS if any(name in results.rows.get(row.name, {}) for row in ROWS)]
    lines = [_line(["", "", *names]), _line(["---", "---", *["---:"] * len(names)])]
    shown = [row for row in rows if row.name in results.rows]
    lines += [_line([row.title, row.unit, *(_cell(results, row, name) for name in names)]) for row in shown]
    return "\n".join(lines) + "\n" if shown else ""


def _cell(results: Results, row: Row, peer: str) -> str:
    """Median, the range of the rounds, and how many times ours that is."""
    median = results.median(row.name, peer, row.figure)
    if median is None:
        return "-"
    low, high = results.spread(row.name, peer, row.figure)
    text = f"**{number(median)}**" if peer == OWN else number(median)
    return text if number(low) == number(high) else f"{text} ({number(low)} to {number(high)})"


def number(value: float) -> str:
    """Return a figure with as many digits as mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _series(results: Results, name: str) -> str:
    """Return one table: a line for each proxy, a column for each size."""
    rows = [row for row in ROWS if row.series and row.series[0] == name and row.name in results.rows]
    if not rows:
        return ""
    names = [peer for peer in PEERS if any(peer in results.rows[row.name] for row in rows)]
    sizes = [f"{row.series[1]:,}" for row in rows if row.series]
    lines = [_line([f"{name} ({rows[0].unit})", *sizes]), _line(["---", *["---:"] * len(rows)])]
    lines += [_line([peer, *(_cell(results, row, peer) for row in rows)]) for peer in names]
    return "\n".join(lines) + "\n"


def _targets(results: Results) -> str:
    lines = [line for line, _ in _judged(results)]
    return "\n".join([_line(["", "ratio", "at most", ""]), _line(["---", "---:", "---:", "---"]), *lines]) + "\n"


def _judged(results: Results) -> Iterable[tuple[str, bool]]:
    for row in ROWS:
        for other, limit in row.targets.items():
            ratio = _against_smallest(results, row) if other == SELF else results.ratio(row.name, row.figure, other)
            if ratio is not None:
                beside = "its smallest size" if other == SELF else other
                good = ratio <= limit
                cells = [f"{row.title}, beside {beside}", f"{ratio:.2f}", f"{limit:g}", "met" if good else "**missed**"]
                yield _line(cells), good


def _against_smallest(results: Results, row: Row) -> float | None:
    smallest = next(other for other in ROWS if other.series and row.series and other.series[0] == row.series[0])
    ours, first = (results.median(each.name, OWN, each.figure) for each in (row, smallest))
    return ours / first if ours is not None and first else None


def _caption(results: Results) -> str:
    machine, about = results.about["machine"], results.about
    share = "" if about["scale"] == 1 else f" of {about['scale']:.0%} of the usual load each"
    return (
        f"Medians of {about['rounds']} rounds{share}, lowest and highest in brackets; less is better. "
        f"{results.date[:10]}, {machine['cores']} cores, {machine['cpu']}, {machine['memory_gb']} GB, "
        f"{machine['system']}, Linux {machine['kernel']}, {machine['python']}. "
        "Every proxy has one process or thread on a core of its own.\n"
    )


def _versions(results: Results) -> str:
    rows = [[name, found["program"], found["tls"]] for name, found in results.about["versions"].items()]
    head = [_line(["", "version", "TLS"]), _line(["---", "---", "---"])]
    return "\n".join([*head, *map(_line, rows), _line(["client of the bench", "", results.about["client"]])]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
