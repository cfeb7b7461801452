"""make: where something is missing it says what, and makes nothing by halves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OLD = """\
case "$*" in
  *version_info*) exit 1 ;;
  -V) echo Python 3.9.2 ;;
esac
"""
WITHOUT_VENV = """\
case "$*" in
  *ensurepip*) exit 1 ;;
esac
"""


def make(goal: str, python: str, venv: Path) -> subprocess.CompletedProcess[str]:
    """Run make with that Python; what it makes goes into ``venv``."""
    command = ["make", "--no-print-directory", goal, f"PYTHON={python}", f"VENV={venv}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """Name a folder that is not there."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    return tmp_path / "venv"


def script(folder: Path, text: str) -> str:
    """Write a stand-in for python3."""
    file = folder / "python3"
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize("goal", ["demo", "test", "bench", "bench-full", "bench-check"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OLD, ["needs Python 3.11 or newer", "Python 3.9.2", "make PYTHON="]),
        (WITHOUT_VENV, ["cannot make virtual environments", "apt install python3-venv"]),
        (None, ["needs Python 3.11 or newer: there is no ", "make PYTHON="]),
    ],
    ids=["too old", "without venv", "none"],
)
def test_what_is_missing_is_said(goal: str, text: str | None, words: list[str], venv: Path, tmp_path: Path) -> None:
    """In one sentence with the way out, before anything is made."""
    python = script(tmp_path, text) if text else str(tmp_path / "nothing")
    ended = make(goal, python, venv)
    assert ended.returncode != 0
    assert [word for word in words if word not in ended.stderr] == []
    assert "Traceback" not in ended.stderr
    assert not venv.exists()


def test_the_soak_lasts_as_long_as_it_is_told_to() -> None:
    """What ``make soak`` runs takes the option that it gives."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", "--no-print-directory", "-n", "soak", "SOAK_MINUTES=0.5", f"VENV={Path(sys.prefix)}"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    words = shown.splitlines()[-1].split()
    assert words[1:] == ["-m", "tests.soak", "--minutes", "0.5"]
    subprocess.run([sys.executable, *words[1:], "--help"], cwd=ROOT, capture_output=True, check=True, timeout=30)
