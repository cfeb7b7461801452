"""What the bench's pages show is what it measures, and what it made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import charts, measures, table
from bench.load import connects, loops
from bench.peers import PEERS
from bench.plan import ROWS
from bench.results import FOLDER, newest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "bench" / "README.md").read_text()


def test_the_readme_shows_the_newest_results() -> None:
    """Its table is generated, never typed: ``python -m bench table`` writes it."""
    page = (ROOT / "README.md").read_text()
    assert page == table.inserted(page, table.short(newest()))


def test_the_page_of_all_rows_and_the_plots_are_those_of_the_newest_results() -> None:
    """All of them are written by the same command."""
    found = newest()
    assert (FOLDER / "README.md").read_text() == table.whole(found)
    drawn = {path.name: path.read_text() for path in FOLDER.glob("*.svg")}
    assert drawn == ({} if found is None else {name: charts.draw(name, found) for name in charts.NAMES})


def test_the_page_explains_every_measure_and_every_proxy() -> None:
    """A figure is worth what is known of how it came about."""
    explained = set(re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE))
    assert explained == set(measures.MEASURES)
    assert {row.load.measure for row in ROWS} == explained
    assert set(PEERS) <= set(re.findall(r"[a-z]+", PAGE.lower()))


def test_the_page_names_the_loads_that_are_used() -> None:
    """Numbers in prose grow old; these may not."""
    numbers = (measures.REQUESTS, measures.HANDSHAKES, int(measures.STEADY_RATE), loops.IN_FLIGHT, connects.AT_A_TIME)
    assert [number for number in numbers if f"{number:,}" not in PAGE] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root installs what is missing")
def test_missing_proxies_are_named_with_the_command_that_installs_them() -> None:
    """All of them, before anything is measured."""
    ended = bench("run", "--peers", "nginx,haproxy", path="/nonexistent")
    assert ended.returncode == 2
    assert "missing: nginx, haproxy; sudo apt-get install" in ended.stderr


def test_a_row_that_does_not_exist_is_an_error_with_the_ones_that_do() -> None:
    """As is a proxy."""
    for option, known in (("--only", "handshakes"), ("--peers", "haproxy")):
        ended = bench("run", option, "nothing")
        assert ended.returncode == 2
        assert "'nothing' is not among" in ended.stderr
        assert known in ended.stderr


def bench(*arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of the bench."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path or os.environ["PATH"]}
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
