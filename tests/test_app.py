"""The composition root: what a start opens, says, and leaves alone."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxy import __version__
from proxy.__main__ import main
from tests.support.harness import PATIENCE, RawOrigin, running
from tests.support.site import small_site

ROOT = Path(__file__).parents[1]
LOG_PAGE = ROOT / "docs" / "log.md"


def test_the_started_line_says_what_runs(tmp_path: Path) -> None:
    """Every field that the log's reference promises, and the addresses as they came to be."""
    config, _ = small_site(tmp_path, 9, listen=[{"address": "127.0.0.1:0"}, {"address": "127.0.0.2:0"}])
    with running(config) as proxy:
        started = proxy.wait_for(lambda line: line["event"] == "started")
        assert started["version"] == __version__
        assert started["pid"] == proxy.process.pid
        assert [address.rsplit(":", 1)[0] for address in started["listen"]] == ["127.0.0.1", "127.0.0.2"]
        assert len(set(proxy.ports)) == 2
        row = re.search(r"^\| `started` \|.*\| (.+) \|$", LOG_PAGE.read_text(), re.MULTILINE)
        assert row is not None
        assert re.findall(r"`(\w+)`", row[1]) == [name for name in started if name not in {"time", "level", "event"}]


def test_a_taken_admin_address_ends_the_start(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody would see the metrics, and nobody that nobody does."""
    with RawOrigin() as taken:
        config, _ = small_site(tmp_path, 9, admin={"address": f"127.0.0.1:{taken.port}"})
        assert main(["run", str(config)]) == 2
    words = f"cannot listen on the admin address 127.0.0.1:{taken.port}: Address already in use"
    assert words in capfd.readouterr().err


def test_a_log_that_cannot_be_opened_ends_the_start(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A proxy that cannot say whom it refused does not start."""
    config, _ = small_site(tmp_path, 9, log={"target": "missing/folder/log"})
    assert main(["run", str(config)]) == 2
    assert capfd.readouterr().err == f"originward: {tmp_path}/missing/folder/log: No such file or directory\n"


def test_the_log_is_reopened_on_sigusr1(tmp_path: Path) -> None:
    """After logrotate has moved the file, lines go to a new one."""
    config, _ = small_site(tmp_path, 9, log={"target": "proxy.log"})
    log, old = tmp_path / "proxy.log", tmp_path / "proxy.log.1"
    with subprocess.Popen([sys.executable, "-m", "proxy", "run", str(config)], cwd=ROOT) as process:
        _wait_for("started", log)
        log.rename(old)
        process.send_signal(signal.SIGUSR1)
        _wait_for("", log)
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert '"stopped"' in log.read_text()
    assert '"stopped"' not in old.read_text()


def _wait_for(words: str, file: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not file.exists() or words not in file.read_text():
        assert time.monotonic() < deadline, f"no {words} in {file}"
