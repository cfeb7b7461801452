"""Offload: a task's result or exception comes back, its process always goes away, and a dead helper is replaced."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from proxy.control import offload as module
from proxy.control.helper import COMMAND, START
from proxy.control.offload import Offload, OffloadError
from proxy.snapshot.problems import ConfigError
from tests.support import tasks
from tests.support.harness import PATIENCE

T = TypeVar("T")
LONG = 10 * PATIENCE
"""A time-out that no test waits for."""


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run in a loop such as the proxy has."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """Make what a lingering task writes its process to."""
    os.mkfifo(tmp_path / "task")
    return tmp_path / "task"


async def seen(fifo: Path) -> int:
    """Wait until a task has written its process down."""
    return int(await asyncio.to_thread(fifo.read_text))


def await_end(process: int) -> None:
    """Wait for the end of a process that need not be a child."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], PATIENCE)[0], f"process {process} lives"
    finally:
        os.close(handle)


def children_of(process: int) -> set[int]:
    """Return a process's children, also those that nobody has buried."""
    return {int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()}


def test_results_come_back_each_from_a_process_of_its_own(offload: Offload) -> None:
    """And several at a time get their own."""

    async def work() -> None:
        assert await asyncio.gather(*(offload.run(tasks.add, n, 1) for n in range(10))) == list(range(1, 11))
        first, second = await offload.run(tasks.where), await offload.run(tasks.where)
        assert first[0] != second[0]
        assert first[1] == second[1] == offload.process

    run(work)


def test_large_arguments_and_results_travel(offload: Offload) -> None:
    """Beyond what any socket buffer holds."""
    data = os.urandom(8 << 20)
    assert run(lambda: offload.run(tasks.echo, data)) == data


def test_exceptions_travel(offload: Offload) -> None:
    """With their attributes, whatever their constructors want, and with the trace of where they came from."""
    with pytest.raises(ConfigError) as refused:
        run(lambda: offload.run(tasks.refuse_configuration))
    assert [problem.line for problem in refused.value.problems] == [1, 3]
    assert "refuse_configuration" in refused.value.__notes__[0]
    with pytest.raises(tasks.PickyError, match="x is picky") as picky:
        run(lambda: offload.run(tasks.refuse_pickily))
    assert picky.value.words == "is picky"
    with pytest.raises(RuntimeError, match="ValueError: <socket"):
        run(lambda: offload.run(tasks.refuse_with_a_socket))
    with pytest.raises(TypeError, match="cannot pickle 'socket' object"):
        run(lambda: offload.run(tasks.return_a_socket))


def test_an_outcome_that_is_too_large_is_none(monkeypatch: pytest.MonkeyPatch, offload: Offload) -> None:
    """The proxy's memory is not the task's to fill."""
    monkeypatch.setattr(module, "MAX_FRAME", 1000)
    with pytest.raises(OffloadError, match=r"announces 1\d\d\d octets, more than 1000"):
        run(lambda: offload.run(tasks.echo, bytes(1000)))


@pytest.mark.parametrize(
    ("task", "argument", "words"),
    [
        (tasks.end_by, signal.SIGKILL, "was killed by SIGKILL; is there enough memory"),
        (tasks.end_by, signal.SIGSEGV, "was killed by SIGSEGV$"),
        (tasks.leave, 7, "ended with status 7"),
        (tasks.leave, 0, "ended with status 0"),
    ],
)
def test_a_process_that_ends_early_is_an_error(
    offload: Offload, task: Callable[[int], None], argument: int, words: str
) -> None:
    """It says how it ended, and the next task is none the worse."""
    with pytest.raises(OffloadError, match=words):
        run(lambda: offload.run(task, argument))
    assert run(lambda: offload.run(tasks.add, 1, 1)) == 2


def test_a_task_that_takes_too_long_is_killed(offload: Offload, fifo: Path) -> None:
    """And nothing remains of it, not even a zombie."""

    async def work() -> int:
        assert await offload.run(tasks.add, 1, 1) == 2
        waiting = asyncio.ensure_future(offload.run(tasks.linger, fifo, timeout=1.0))
        process = await seen(fifo)
        with pytest.raises(OffloadError, match="given up after 1 s"):
            await waiting
        return process

    process = run(work)
    await_end(process)
    assert run(lambda: offload.run(tasks.add, 1, 1)) == 2
    assert offload.process is not None
    assert process not in children_of(offload.process)


def test_a_task_that_nobody_waits_for_is_killed(offload: Offload, fifo: Path) -> None:
    """A cancelled reload does not go on in the dark."""

    async def work() -> int:
        waiting = asyncio.ensure_future(offload.run(tasks.linger, fifo, timeout=LONG))
        process = await seen(fifo)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.to_thread(await_end, process)
        return process

    run(work)


def test_a_dead_helper_is_noticed_and_replaced(fifo: Path) -> None:
    """Its tasks fail clearly and die with it; the next one finds a new helper."""
    offload = Offload()
    faults: list[str] = []
    offload.on_fault = faults.append

    async def work() -> None:
        waiting = asyncio.ensure_future(offload.run(tasks.linger, fifo, timeout=LONG))
        process = await seen(fifo)
        assert offload.process is not None
        os.kill(offload.process, signal.SIGKILL)
        with pytest.raises(OffloadError, match="helper process died in the middle"):
            await waiting
        await asyncio.to_thread(await_end, process)
        assert await offload.run(tasks.add, 2, 2) == 4

    before = offload.process
    run(work)
    assert offload.process not in (None, before)
    assert len(faults) == 1
    assert before not in children_of(os.getpid())
    offload.close()


def test_a_steady_helper_is_replaced_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one that dies young waits for the next task, so that nothing starts processes in a circle."""
    monkeypatch.setattr(module, "STEADY_SECONDS", 0.0)
    offload = Offload()

    async def work() -> None:
        replaced = asyncio.Event()
        offload.on_fault = lambda _detail: replaced.set()
        await offload.run(tasks.add, 1, 1)
        before = offload.process
        assert before is not None
        os.kill(before, signal.SIGTERM)  # it is deaf to this one
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            await replaced.wait()
        assert offload.process not in (None, before)

    run(work)
    offload.close()


def test_a_stuck_helper_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a time to report a killed task."""
    monkeypatch.setattr(module, "KILL_SECONDS", 0.0)
    offload = Offload()

    async def work() -> None:
        noticed = asyncio.Event()
        offload.on_fault = lambda _detail: noticed.set()
        await offload.run(tasks.add, 1, 1)
        assert offload.process is not None
        os.kill(offload.process, signal.SIGSTOP)
        with pytest.raises(OffloadError, match="given up"):
            await offload.run(tasks.add, 1, 1, timeout=0.1)
        async with asyncio.timeout(PATIENCE):
            await noticed.wait()
        assert await offload.run(tasks.add, 1, 1) == 2

    run(work)
    offload.close()


def test_a_helper_that_cannot_be_replaced_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter went away in an upgrade: whoever asks is told, and the proxy goes on."""
    offload = Offload()
    run(lambda: offload.run(tasks.add, 1, 1))
    assert offload.process is not None
    os.kill(offload.process, signal.SIGKILL)
    os.waitid(os.P_PID, offload.process, os.WEXITED | os.WNOWAIT)
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "/no/such/python")
        for _ in range(2):
            with pytest.raises(OffloadError, match=r"cannot be started: .*No such file"):
                run(lambda: offload.run(tasks.add, 1, 1))
    assert run(lambda: offload.run(tasks.add, 1, 1)) == 2
    offload.close()


def test_a_forked_worker_lets_go_of_it(offload: Offload) -> None:
    """The helper is its parent's, who goes on with it."""
    worker = os.fork()
    if not worker:
        offload.forget()
        os._exit(0 if offload.process is None else 1)
    assert os.waitpid(worker, 0)[1] == 0
    assert run(lambda: offload.run(tasks.add, 1, 1)) == 2


def test_nothing_is_started_at_the_end(offload: Offload) -> None:
    """A closed one says so, and its helper is gone."""
    closed = Offload()
    process = closed.process
    assert process in children_of(os.getpid())
    closed.close()
    assert process not in children_of(os.getpid())
    with pytest.raises(OffloadError, match="the proxy is ending"):
        run(lambda: closed.run(tasks.add, 1, 1))
    assert offload.process in children_of(os.getpid())


def test_a_parent_that_ends_with_a_report_unread_is_an_end_like_any_other() -> None:
    """The kernel calls it a reset connection then."""
    offload = Offload()
    line = offload._line
    assert line is not None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(line.control, [COMMAND.pack(START, 1)], [theirs.fileno()])
    assert select.select([line.control], [], [], PATIENCE)[0]
    line.control.close()
    await_end(line.process)
    assert os.waitstatus_to_exitcode(os.waitpid(line.process, 0)[1]) == 0
    offload.forget()


class Host:
    """A program that forked its helper with a listener open, and lingers in a task, in a process group of its own."""

    def __init__(self, fifo: Path) -> None:
        self.program = subprocess.Popen(
            [sys.executable, "-m", "tests.support.tasks", str(fifo)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=Path(__file__).parents[2], process_group=0,
        )  # fmt: skip
        assert self.program.stdout is not None
        self.facts = json.loads(self.program.stdout.readline())
        self.helper: int = self.facts["helper"]
        self.task = asyncio.run(seen(fifo))

    def ended(self) -> bytes:
        """Wait for the end of all; return what was said on standard error."""
        errors = self.program.communicate(timeout=PATIENCE)[1]
        await_end(self.helper)
        await_end(self.task)
        return errors


@contextmanager
def hosted(fifo: Path) -> Iterator[Host]:
    """Run the program for the length of a block."""
    host = Host(fifo)
    try:
        yield host
    finally:
        host.program.kill()
        host.program.communicate(timeout=PATIENCE)


def test_a_forked_helper_holds_nothing_of_its_parent_and_ends_with_it(fifo: Path) -> None:
    """No listener, no log: standard error, the control socket and the task's channel; and ``kill -9`` leaves nobody."""
    with hosted(fifo) as host:
        assert host.facts["sums"] == [1, 2, 3, 4, 5]
        opened = {int(number): name for number, name in host.facts["opened"].items()}
        assert opened.pop(0) == opened.pop(1) == os.devnull
        assert opened.pop(2).startswith("pipe:")
        sockets = [name for name in opened.values() if name.startswith("socket:")]
        assert len(sockets) == 1  # the channel
        assert f"/proc/{host.helper}" not in "".join(opened.values())
        host.program.kill()
        assert host.ended() == b""


def test_signals_to_the_group_are_the_parents_business(fifo: Path) -> None:
    """Ctrl-C at a terminal ends the proxy: its helper neither dies first nor prints a traceback."""
    with hosted(fifo) as host:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            os.kill(host.helper, number)
            os.kill(host.task, number)
        os.killpg(host.program.pid, signal.SIGINT)
        assert host.ended() == b""
