"""The proxy as a child process: started, waited for, read by its log, and ended."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

import proxy
from proxy.operate.demo.stage import Stage

READY_LIMIT: Final = 20.0
"""Seconds from start to ready: most of it is Python's imports, on the slowest of build machines."""

LOG_LIMIT: Final = 15.0
"""Seconds until a decision must be in the log file. It is there within milliseconds of the answer; only a refusal that
equals the one before it is held back, for ten seconds, to be folded."""

STOP_LIMIT: Final = 10.0
"""Seconds to end in after SIGTERM; no request is under way then."""

POLL: Final = 0.02
"""Seconds between two looks."""

DECISIONS: Final = frozenset({"handshake.refused", "request", "request.refused", "request.failed"})
"""The events that end a row of the demo, one way or the other."""


class StartError(RuntimeError):
    """The proxy did not become ready; the message says what it wrote."""


class LogTail:
    """The proxy's log, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def skip(self) -> None:
        """Leave out what has been written until now."""
        self._offset = self._path.stat().st_size if self._path.exists() else 0

    def next_decision(self) -> Mapping[str, object] | None:
        """Wait for the next line that decides a connection or a request; None where none comes in time."""
        deadline = time.monotonic() + LOG_LIMIT
        while time.monotonic() < deadline:
            for line in self._new_lines():
                if line.get("event") in DECISIONS:
                    return line
            time.sleep(POLL)
        return None

    def _new_lines(self) -> Iterator[Mapping[str, object]]:
        """Yield the complete lines beyond the offset; a line that is still being written is left for later."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                self._offset += len(raw)
                yield json.loads(raw)


@contextmanager
def running_proxy(stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    """Run the real proxy on the stage's configuration until the block ends.

    Raises StartError where it does not become ready. It gets a process group of its own: Ctrl-C is for the demo,
    which then ends it.
    """
    with stage.errors.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own configuration
            [sys.executable, "-m", "proxy", "run", str(stage.config)],
            cwd=Path(proxy.__file__).parents[1],  # -m looks here first: this package, not one that happens to lie about
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            process_group=0,
        )
    try:
        _wait_until_ready(process, stage)
        yield process
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], stage: Stage) -> None:
    deadline = time.monotonic() + READY_LIMIT
    while not _is_ready(stage.ports.admin):
        if process.poll() is not None:
            raise StartError(f"the proxy ended with exit code {process.returncode}:\n{_output(stage)}")
        if time.monotonic() > deadline:
            raise StartError(f"the proxy was not ready after {READY_LIMIT:.0f} s:\n{_output(stage)}")
        time.sleep(POLL)


def _is_ready(admin_port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", admin_port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200  # noqa: PLR2004 - OK
    except (OSError, HTTPException):
        return False  # not listening yet; the caller's deadline ends this
    finally:
        connection.close()


def _output(stage: Stage) -> str:
    texts = [path.read_text(errors="replace") for path in (stage.errors, stage.log) if path.exists()]
    return "".join(texts).strip() or "(it wrote nothing)"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_LIMIT)
    finally:
        process.kill()  # does nothing to a process that has ended
        process.wait()
