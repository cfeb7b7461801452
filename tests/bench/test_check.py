"""The guard over stored results: files of real runs, and the command's exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.check import ALLOWED, ALLOWED_LATENCY, compare
from bench.results import ResultsError, read

ROOT = Path(__file__).parents[2]
STORED = ROOT / "tests" / "bench" / "data" / "run.json"
Change = Callable[[dict[str, Any]], None]


def scaled(row: str, figure: str, factor: float) -> Change:
    """Make originward dearer in one row."""

    def change(run: dict[str, Any]) -> None:
        values = run["rows"][row]["originward"]
        values[figure] = [value * factor for value in values[figure]]

    return change


def both_slower(run: dict[str, Any]) -> None:
    """Make a machine on which everything costs twice as much."""
    for peers in run["rows"].values():
        for figures in peers.values():
            for name, values in figures.items():
                figures[name] = [value * 2 for value in values]


def written(change: Change, folder: Path) -> Path:
    """Write the stored run again, with a change."""
    run = json.loads(STORED.read_text())
    change(run)
    path = folder / "fresh.json"
    path.write_text(json.dumps(run))
    return path


@pytest.mark.parametrize(
    ("change", "worse"),
    [
        (lambda _: None, ()),
        (both_slower, ()),
        (scaled("requests", "cpu_us", ALLOWED - 0.01), ()),
        (scaled("requests", "cpu_us", ALLOWED + 0.01), ("requests",)),
        (scaled("handshakes", "cpu_us", 0.5), ()),
        (scaled("idle", "kb", 1.3), ("idle",)),
        (scaled("latency", "p99_ms", ALLOWED_LATENCY - 0.01), ()),
        (scaled("latency", "p99_ms", ALLOWED_LATENCY + 0.01), ("latency",)),
    ],
)
def test_only_a_ratio_that_grew_too_much_is_worse(change: Change, worse: tuple[str, ...], tmp_path: Path) -> None:
    """A slower machine is not: both became slower."""
    assert compare(read(STORED), read(written(change, tmp_path))).worse == worse


def test_nothing_in_common_is_no_success(tmp_path: Path) -> None:
    """A check that compared nothing must not pass."""
    with pytest.raises(ResultsError, match="no row in common"):
        compare(read(STORED), read(written(lambda run: run["rows"].clear(), tmp_path)))


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (1.5, 1)])
def test_the_command_says_it_with_its_exit_status(factor: float, status: int, tmp_path: Path) -> None:
    """``make bench-check`` is this command without the second file."""
    fresh = written(scaled("requests", "cpu_us", factor), tmp_path)
    ended = check(str(fresh), "--stored", str(STORED))
    assert ended.returncode == status
    assert ("WORSE" in ended.stdout) == bool(status)


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    """Exit 2, and which file."""
    (tmp_path / "odd.json").write_text("{}")
    ended = check(str(tmp_path / "odd.json"), "--stored", str(STORED))
    assert ended.returncode == 2
    assert "odd.json" in ended.stderr


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bench", "check", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
