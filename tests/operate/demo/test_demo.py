"""The demo as a stranger runs it: the real command, the real proxy, real TLS."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.operate.demo.cases import CASES

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "proxy", "demo"]


@contextmanager
def demo(temporary: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo with its folder below ``temporary``; whatever happens, it does not outlive the block."""
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_every_row_is_as_expected_and_nothing_stays_behind(tmp_path: Path) -> None:
    """Exit code 0 means that every row held; the folder with the keys is gone."""
    with demo(tmp_path) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert f"{len(CASES)} of {len(CASES)} as expected" in output
    assert len(re.findall(r"^ok ", output, re.MULTILINE)) == len(CASES)
    assert list(tmp_path.iterdir()) == []


def test_a_kept_demo_answers_its_own_curl_commands_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """The commands that it prints do what the table says, and SIGTERM ends it cleanly."""
    with demo(tmp_path, "--keep") as process:
        lines = iter(process.stdout or ())
        commands = [line.strip() for line in until(lines, " explain ") if line.strip().startswith("curl")]
        statuses = [status_of(command) for command in commands]
        process.send_signal(signal.SIGTERM)
        rest = "".join(lines)
        assert process.wait() == 0, rest
    assert statuses == ["200", "200", "403", None, "200", "400"]
    (folder,) = tmp_path.iterdir()
    assert f"kept: {folder}" in rest
    assert (folder / "demo.yaml").is_file()


def until(lines: Iterator[str], end: str) -> Iterator[str]:
    """Yield lines up to and with the one that contains ``end``."""
    for line in lines:
        yield line
        if end in line:
            return


def status_of(command: str) -> str | None:
    """Run a curl command; return the status of its answer, None where TLS refused it."""
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False, timeout=30)
    found = re.match(r"HTTP/1\.1 (\d{3}) ", done.stdout)
    return None if found is None else found[1]
