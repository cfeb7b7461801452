"""CPU and memory are those of the whole tree, and nothing is left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.processes import Command, Cores, Tree, free_port, running

PARENT = """
import os, socket, subprocess, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
if os.fork() == 0:
    end = time.process_time() + 0.3
    while time.process_time() < end: pass
    open(sys.argv[2], "w").write(str(os.getpid()))
while True: time.sleep(60)
"""


def test_children_count_and_go(tmp_path: Path) -> None:
    """A child that burns 0.3 s of CPU shows in the tree's account, and ends with it."""
    port, file = free_port(), tmp_path / "pid"
    command = Command(argv=(sys.executable, "-c", PARENT, str(port), str(file)), port=port)
    with running(command, Cores.split().proxy, tmp_path / "log") as tree:
        while not file.exists() or not file.read_text():
            assert tree.cpu() < 60
        assert len(tree.pids()) == 2
        assert tree.cpu() >= 0.3
        assert tree.memory_kb() > 1_000
        child = int(file.read_text())
    assert _state(child) in {None, "Z"}


def _state(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """Its last words are in the error."""
    command = Command(argv=(sys.executable, "-c", "raise SystemExit('no such thing')"), port=free_port())
    with pytest.raises(RuntimeError, match="no such thing"), running(command, Cores.split().proxy, tmp_path / "log"):
        pass


def test_what_has_gone_costs_nothing() -> None:
    """Between two looks a process may end."""
    assert Tree(2**22 - 1).cpu() == 0


def test_the_proxy_and_the_load_get_different_cores_where_there_are_two() -> None:
    """And two workers get both."""
    cores = Cores.split()
    if len(os.sched_getaffinity(0)) > 1:
        assert not cores.proxy & cores.load
    assert cores.for_workers(1) == cores.proxy
    assert cores.for_workers(2) == cores.proxy | cores.load
