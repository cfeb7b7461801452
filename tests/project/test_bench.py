"""The bench says what it lacks, and its page has the targets and loads that it uses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from bench import beside_nginx as bench

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "bench" / "README.md").read_text()
ROWS = {row[0]: row[1] for row in re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)}


def test_missing_tools_are_named() -> None:
    """All of them, with the command that installs them."""
    environment = {**os.environ, "PATH": "/nonexistent", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "bench" / "beside_nginx.py")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 2
    assert ended.stderr == "missing: nginx, ab, curl; apt-get install nginx apache2-utils curl\n"


def test_the_page_has_every_measure_with_its_load_and_target() -> None:
    """A figure is worth what is known of how it came about."""
    assert set(ROWS) == set(bench.MEASURES)
    for measure, target in bench.TARGETS.items():
        assert f"at most {target:g} " in ROWS[measure]
    assert f"{bench.IDLE_TARGET:g} KB" in ROWS["idle"]
    assert f"{bench.REQUESTS:,} requests" in ROWS["requests"]
    assert f"{bench.HANDSHAKES:,} connections" in ROWS["handshakes"]
    assert f"{bench.IDLE_CONNECTIONS:,} connections" in ROWS["idle"]
    assert f"{bench.BULK_MEGABYTES} MB" in ROWS["bulk"]
