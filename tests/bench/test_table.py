"""Tables and plots come from results alone."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import charts, table
from bench.plan import BY_NAME, MAIN, ROWS, Row
from bench.results import read

RUN = read(Path(__file__).parent / "data" / "run.json")


@pytest.mark.parametrize("row", MAIN, ids=[row.name for row in MAIN])
def test_the_short_table_has_every_main_row_with_its_medians(row: Row) -> None:
    """Each proxy that was measured, to the digits that are shown."""
    (line,) = [line for line in table.short(RUN).splitlines() if line.startswith(f"| {row.title} |")]
    for peer in RUN.rows[row.name]:
        assert table.number(RUN.median(row.name, peer, row.figure) or 0.0) in line


def test_targets_are_judged_by_the_ratio_of_the_medians() -> None:
    """Met and missed, with the figure and the limit."""
    page = table.whole(RUN)
    ratio = RUN.ratio("handshakes", "cpu_us", "nginx")
    limit = BY_NAME["handshakes"].targets["nginx"]
    verdict = "met" if ratio is not None and ratio <= limit else "**missed**"
    assert f"| {BY_NAME['handshakes'].title}, beside nginx | {ratio:.2f} | {limit:g} | {verdict} |" in page
    assert len(table.missed(RUN)) == page.count("**missed**")


def test_the_page_names_versions_and_machine() -> None:
    """A figure without them means nothing."""
    page = table.whole(RUN)
    for name, version in RUN.about["versions"].items():
        assert f"| {name} | {version['program']} | {version['tls']} |" in page
    assert RUN.about["machine"]["cpu"] in page


def test_without_results_it_says_how_to_make_some() -> None:
    """Not an empty table."""
    assert "make bench-full" in table.short(None)


def test_only_what_lies_between_the_markers_is_replaced() -> None:
    """The rest of the page is somebody's writing."""
    page = f"before\n{table.BEGIN}old\n{table.END}after\n"
    assert table.inserted(page, "new\n") == f"before\n{table.BEGIN}new\n{table.END}after\n"
    with pytest.raises(ValueError, match="markers"):
        table.inserted("no markers", "new\n")


@pytest.mark.parametrize("name", charts.NAMES)
def test_a_plot_is_whole_and_inside_its_frame(name: str) -> None:
    """Well-formed, every proxy named, nothing outside, with colours for dark pages."""
    text = charts.draw(name, RUN)
    root = ET.fromstring(text)  # noqa: S314 - we made it
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    space = "{http://www.w3.org/2000/svg}"
    words = [element.text for element in root.iter(f"{space}text")]
    assert {"originward", "nginx"} <= set(words)
    assert "prefers-color-scheme: dark" in text
    for group in root.iter(f"{space}g"):
        left, top = map(float, re.findall(r"[\d.]+", group.attrib["transform"]))
        for element in group:
            x, y = (float(element.attrib.get(key, 0)) for key in "xy")
            assert 0 <= left + x + float(element.attrib.get("width", 0)) <= width
            assert 0 <= top + y <= height


def test_names_of_rows_and_their_series_are_in_order() -> None:
    """Names are unique; each series starts with its smallest size, which is what growth is measured from."""
    assert len(BY_NAME) == len(ROWS)
    for name in {row.series[0] for row in ROWS if row.series}:
        sizes = [row.series[1] for row in ROWS if row.series and row.series[0] == name]
        assert sizes == sorted(sizes)
        assert len(sizes) > 1
