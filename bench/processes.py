"""Processes under test: started on a core, ended with the block, and read from /proc.

CPU is the scheduler's own account of run time in nanoseconds (``/proc/PID/task/*/schedstat``), summed over the tree of
processes and their threads: clock ticks (``/proc/PID/stat``) are hundredths of a second, too coarse for short loads. A
thread that ends within a measurement takes its time with it; none of the servers here ends threads under load.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

START_PATIENCE: Final = 180.0
"""Seconds until a server has to accept: ten thousand routes and a million CRL entries take their time."""

END_PATIENCE: Final = 20.0
"""Seconds for a polite end; then it is killed."""

POLL: Final = 0.05
NANOSECONDS: Final = 1e9
OPEN_FILES: Final = 65_536


@dataclass(frozen=True, kw_only=True)
class Command:
    """How a server is started. ``port`` accepts once it is ready."""

    argv: tuple[str, ...]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tree:
    """A process and its descendants."""

    root: int

    def pids(self) -> list[int]:
        """Return the processes there are now, parents first."""
        found = [self.root]
        for pid in found:
            found.extend(_children(pid))
        return found

    def cpu(self) -> float:
        """Return the CPU seconds used so far by all threads."""
        return sum(_run_time(pid) for pid in self.pids()) / NANOSECONDS

    def cpu_with_ended(self) -> float:
        """Return the CPU seconds used so far, those of children that have ended included, in clock ticks."""
        return sum(_ticks(pid) for pid in self.pids()) / os.sysconf("SC_CLK_TCK")

    def memory_kb(self) -> float:
        """Return the proportional set size in KB: pages that processes share count once."""
        return sum(_proportional_kb(pid) for pid in self.pids())


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for task in _tasks(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            children.extend(map(int, (task / "children").read_text().split()))
    return children


def _tasks(pid: int) -> list[Path]:
    with suppress(FileNotFoundError, ProcessLookupError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []


def _run_time(pid: int) -> int:
    total = 0
    for task in _tasks(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            total += int((task / "schedstat").read_text().split()[0])
    return total


def _ticks(pid: int) -> int:
    """Sum up utime, stime, cutime and cstime (proc(5))."""
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))
    return 0


def _proportional_kb(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1])
    return 0.0


@dataclass(frozen=True)
class Cores:
    """Which cores the proxies and the load (client and origin) run on; the same where there is one only."""

    proxy: frozenset[int]
    load: frozenset[int]

    @classmethod
    def split(cls) -> Cores:
        """Give the first core that we may use to the proxy and another one to the load."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(frozenset(usable[:1]), frozenset(usable[1:2] or usable[:1]))

    def for_workers(self, workers: int) -> frozenset[int]:
        """Return the cores of a proxy with so many workers: beyond one they have to share the load's."""
        return self.proxy if workers == 1 else self.proxy | self.load


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def running(command: Command, cores: frozenset[int], log: Path) -> Iterator[Tree]:
    """Run a server on ``cores`` until the block ends; what it prints goes to ``log``."""
    environment = {**os.environ, **command.environment}
    with log.open("ab") as output:
        child = subprocess.Popen(
            ["taskset", "--cpu-list", ",".join(map(str, sorted(cores))), *command.argv],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    tree = Tree(child.pid)
    try:
        _await_port(child, command, log)
        yield tree
    finally:
        _end(child, tree)


def _await_port(child: subprocess.Popen[bytes], command: Command, log: Path) -> None:
    deadline = time.monotonic() + START_PATIENCE
    while True:
        if child.poll() is not None:
            raise RuntimeError(f"{command.argv[0]} ended with {child.returncode}:\n{log.read_text()[-2000:]}")
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", command.port), timeout=1).close()
            return
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{command.argv[0]} does not accept after {START_PATIENCE:g} s:\n{log.read_text()[-2000:]}"
            )
        time.sleep(POLL)


def _end(child: subprocess.Popen[bytes], tree: Tree) -> None:
    """Ask politely, then kill; descendants that outlive their parent are killed too."""
    family = tree.pids()
    child.terminate()
    try:
        child.wait(END_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pid in family[1:]:
        _kill(pid)


def _kill(pid: int) -> None:
    """Kill a process that is no child of ours, and wait until it has ended."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], END_PATIENCE)
        finally:
            os.close(handle)
