"""Where the time goes: instructions for each operation, and profiles of originward under load.

    python -m bench profile requests                     # perf, by symbol (perf record on the CPU clock)
    python -m bench profile requests --with py-spy       # by Python line
    python -m bench profile handshakes --with counters   # instructions each: perf stat, or valgrind where it has none

Hardware counters are missing on many virtual machines; valgrind counts user instructions there, repeatably but slowly,
and without the kernel's share.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from bench.install import install
from bench.measures import MEASURES, Effort, warm
from bench.peers import PEERS
from bench.peers.model import Order
from bench.plan import OWN, UNCOMPILED, Load, Task
from bench.processes import Command, Cores, free_port, running
from bench.stage import Subject, origin

FREQUENCY: Final = 999
"""Samples a second; not a divisor of anything periodic."""

COUNTED: Final = (2_000, 4_000)
"""Operations of two runs under valgrind; their difference has no start in it."""

SPY_FREQUENCY: Final = 199
"""The same for py-spy, which stops the process for each sample."""

EFFORT: Final = 4.0
SHOWN: Final = 45
"""Lines of a profile."""


def add_command(commands: Any) -> None:
    """Add ``profile`` to the command line."""
    parser = commands.add_parser("profile", help="show where originward's time goes under a load")
    parser.add_argument("load", choices=("requests", "handshakes"))
    parser.add_argument("--with", dest="tool", choices=tuple(_TOOLS), default="perf", help="(perf)")
    parser.add_argument("--uncompiled", action="store_true", help="as source, and not as mypyc compiles it")
    parser.add_argument("--identities", type=int, default=1, help="client certificates (1)")
    parser.set_defaults(command=_profile)


def _profile(options: argparse.Namespace) -> int:
    load = Load(measure=options.load, identities=options.identities)
    name = UNCOMPILED if options.uncompiled else OWN
    install([name])
    with tempfile.TemporaryDirectory(prefix="originward-profile-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        _TOOLS[options.tool](folder, name, load)
    return 0


class _House:
    """originward on its core, the load on another, the origin there too."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._stack = ExitStack()
        self._cores = Cores.split()
        self._folder = folder

    def __enter__(self) -> Self:
        os.sched_setaffinity(0, self._cores.load)
        self.site, self._origin = self._stack.enter_context(origin(self._folder, self._cores))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, *wrapper: str, python: Sequence[str] = (), **environment: str) -> Subject:
        """Start originward below a wrapper's command."""
        port = free_port()
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        order = Order(task=Task(), site=self.site, folder=folder, port=port)
        command = PEERS[self._name].configure(order)
        argv = (*wrapper, command.argv[0], *python, *command.argv[1:])
        wrapped = Command(argv=argv, port=port, environment={**command.environment, **environment})
        self.log = folder / "output.log"
        tree = self._stack.enter_context(running(wrapped, self._cores.proxy, self.log))
        return Subject(name=OWN, task=Task(), site=self.site, port=port, tree=tree, origin=self._origin, order=order)


def _perf(folder: Path, name: str, load: Load) -> None:
    data = folder / "perf.data"
    with _House(folder, name) as house:
        subject = house.start()
        record = [_tool("perf", "linux-perf"), "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-g",
                  "-o", str(data), "-p", str(subject.tree.root)]  # fmt: skip
        figures = _under(record, subject, load)
    report = ["perf", "report", "-i", str(data), "--stdio", "--no-children", "-g", "none", "--sort", "dso,symbol"]
    text = subprocess.run(report, capture_output=True, text=True, check=True).stdout
    rows = [line for line in text.splitlines() if "%" in line]
    print("\n".join(rows[:SHOWN]))
    print(f"{figures['cpu_us']:.1f} µs CPU each, with the sampling's own cost")


def _py_spy(folder: Path, name: str, load: Load) -> None:
    found = folder / "py-spy.txt"
    with _House(folder, name) as house:
        subject = house.start()
        spy = [_tool("py-spy", "py-spy, with pip"), "record", "--format", "raw", "--rate", str(SPY_FREQUENCY),
               "--duration", "3600", "-o", str(found), "--pid", str(subject.tree.root)]  # fmt: skip
        _under(spy, subject, load)
    own: dict[str, int] = {}
    for line in found.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        frame = stack.rsplit(";", 1)[-1]
        own[frame] = own.get(frame, 0) + int(samples)
    total = sum(own.values())
    for frame, count in sorted(own.items(), key=lambda item: -item[1])[:SHOWN]:
        print(f"{count / total:6.1%}  {frame}")


def _under(tool: Sequence[str], subject: Subject, load: Load) -> dict[str, float]:
    """Put the load on while a tool looks at the process."""
    warm(subject, Effort())
    watcher = subprocess.Popen(tool, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    figures = MEASURES[load.measure](subject, load, Effort(EFFORT))
    watcher.send_signal(signal.SIGINT)
    _, said = watcher.communicate(timeout=60)
    if watcher.returncode not in (0, -signal.SIGINT):
        raise RuntimeError(f"{tool[0]} ended with {watcher.returncode}: {said}")
    return figures


def _counters(folder: Path, name: str, load: Load) -> None:
    if _has_counters():
        print(f"{_by_perf(folder, name, load):,.0f} instructions each (perf stat, user and kernel)")
    else:
        print("no hardware counters here (perf stat: not supported); counting with valgrind")
        print(f"{_by_valgrind(folder, name, load):,.0f} instructions each (valgrind, user only)")


def _has_counters() -> bool:
    if shutil.which("perf") is None:
        return False
    run = subprocess.run(["perf", "stat", "-e", "instructions", "true"], capture_output=True, text=True, check=False)
    return run.returncode == 0 and "<not" not in run.stderr


def _by_perf(folder: Path, name: str, load: Load) -> float:
    with _House(folder, name) as house:
        subject = house.start()
        warm(subject, Effort())
        count = COUNTED[1]
        command = ["perf", "stat", "-x", ",", "-e", "instructions", "-p", str(subject.tree.root)]
        watcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        _operations(subject, load, count)
        watcher.send_signal(signal.SIGINT)
        _, said = watcher.communicate(timeout=60)
    return int(said.split(",")[0]) / count


def _by_valgrind(folder: Path, name: str, load: Load) -> float:
    counts = [_instructions(folder / str(number), name, load, number) for number in COUNTED]
    return (counts[1] - counts[0]) / (COUNTED[1] - COUNTED[0])


def _instructions(folder: Path, name: str, load: Load, operations: int) -> int:
    """Run under cachegrind from start to end; its summary counts instructions ("I   refs")."""
    wrapper = [_tool("valgrind", "valgrind"), "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    with _House(folder, name) as house:
        subject = house.start(*wrapper, UV_USE_IO_URING="0", PYTHONHASHSEED="0")
        _operations(subject, load, operations)
        log = house.log
    counts = re.findall(r"I\s+refs:\s+([\d,]+)", log.read_text())  # the helper process, which stands by, has one too
    if not counts:
        raise RuntimeError(f"valgrind gave no count:\n{log.read_text()[-2000:]}")
    return sum(int(count.replace(",", "")) for count in counts)


def _operations(subject: Subject, load: Load, count: int) -> None:
    """Put on exactly so many operations."""
    from bench import measures  # noqa: PLC0415 - its counts are what is replaced

    full = measures.REQUESTS if load.measure == "requests" else measures.HANDSHAKES
    MEASURES[load.measure](subject, load, Effort(count / full, exact=True))


def _tool(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise RuntimeError(f"{name} is missing: install {package}")
    return found


_TOOLS: Final[dict[str, Callable[[Path, str, Load], None]]] = {"perf": _perf, "py-spy": _py_spy, "counters": _counters}
