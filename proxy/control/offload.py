"""Offload: work that would hold up the event loop, done in a process of its own.

The helper (see ``helper``) is forked before there are threads and a loop, shares the memory of what was imported, and
forks a process for each task. A helper that dies is replaced by a fresh interpreter, since a process with threads
cannot be forked safely.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from time import monotonic
from typing import Final, Never, TypeVar, TypeVarTuple

from proxy.control.helper import (
    COMMAND,
    CONTROL,
    KILL,
    LENGTH,
    MAX_FRAME,
    NOT_STARTED,
    OTHERS,
    REPORT,
    START,
    become_helper,
    script,
)

TASK_SECONDS: Final = 60.0
"""For a task, unless its caller says otherwise: a CRL of 10 million entries is compiled in half of it."""

MAX_TASKS: Final = 2
"""Tasks at a time: a reload need not wait for a CRL. The memory of both is there at once."""

KILL_SECONDS: Final = 5.0
"""For the helper to report a killed task; one that does not is stuck, and is replaced."""

STEADY_SECONDS: Final = 10.0
"""A helper that lived this long is replaced as soon as it dies; a younger one when it is needed next."""

READ_CHUNK: Final = 1 << 20
"""Octets of an outcome that wait in the stream."""

_Arguments = TypeVarTuple("_Arguments")
_T = TypeVar("_T")


class OffloadError(Exception):
    """A task that came to no end: its process or the helper died, or it took too long; the message says which."""


class _Line:
    """A running helper: its process, and our end of its control socket."""

    def __init__(self, process: int, control: socket.socket) -> None:
        self.process = process
        self.control = control
        self.since = monotonic()
        control.setblocking(False)

    def bury(self) -> None:
        """End the helper, and its tasks with it."""
        self.control.close()
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)


class Offload:
    """Runs functions in processes of their own. Make it first of all, while there is one thread.

    ``on_fault`` is told of each helper that died. All methods are for one thread; ``run`` is for one loop at a time.
    """

    def __init__(self) -> None:
        self.on_fault: Callable[[str], None] = lambda _detail: None
        self._line: _Line | None = _forked() if threading.active_count() == 1 else _spawned()
        self._numbers = count(1)
        self._reports: dict[int, asyncio.Future[int | None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = asyncio.Semaphore(MAX_TASKS)
        self._closed = False

    @property
    def process(self) -> int | None:
        """The helper's process, None where it died and is not needed yet."""
        return self._line.process if self._line is not None else None

    async def run(
        self,
        function: Callable[[*_Arguments], _T],
        *arguments: *_Arguments,
        timeout: float = TASK_SECONDS,  # noqa: ASYNC109 - of the task alone, without its turn in the queue
    ) -> _T:
        """Return what ``function`` returns of ``arguments``, or raise what it raises.

        The function is found by its module and name, so it is none within another; arguments and result are pickled.
        Raises OffloadError where the task takes more than ``timeout`` seconds or its process dies.
        """
        request = pickle.dumps((function, arguments), protocol=5)
        self._watch(asyncio.get_running_loop())
        async with self._turns, self._started() as (channel, report):
            outcome = await self._outcome(channel, report, request, timeout)
        good, value = pickle.loads(outcome)  # noqa: S301 - from our own child
        if good:
            result: _T = value
            return result
        raise value

    def close(self) -> None:
        """End the helper; tasks that are under way are cut."""
        self._closed = True
        self._lose(None)

    def forget(self) -> None:
        """Let go of a helper that belongs to the process that this one was forked from."""
        self._closed = True
        if self._line is not None:
            self._line.control.close()
            self._line = None

    # --- a task

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[tuple[socket.socket, asyncio.Future[int | None]]]:
        """Have a process started for a task, and killed where the task is left before its end."""
        task = next(self._numbers)
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._start(task, theirs)
            report = self._reports[task] = asyncio.get_running_loop().create_future()
            try:
                yield ours, report
            except BaseException:
                self._kill(task, report)
                raise

    def _start(self, task: int, channel: socket.socket) -> None:
        for _ in range(2):  # the first attempt may be what shows that the helper is dead
            line = self._line or self._renew()
            try:
                socket.send_fds(line.control, [COMMAND.pack(START, task)], [channel.fileno()])
            except OSError:
                self._lose("it takes no tasks")
            else:
                return
        raise OffloadError("the helper process dies as soon as it is started")

    async def _outcome(
        self, channel: socket.socket, report: asyncio.Future[int | None], request: bytes, seconds: float
    ) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await _exchange(channel, request) or await self._death(report)
        except TimeoutError as fault:
            raise OffloadError(f"the task was given up after {seconds:g} s") from fault

    async def _death(self, report: asyncio.Future[int | None]) -> Never:
        """Say how a task's process ended that sent no outcome."""
        status = await report
        if status is None:
            raise OffloadError("the helper process died in the middle of the task")
        if status == NOT_STARTED:
            raise OffloadError("no process can be started for the task: the system is out of processes or memory")
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            raise OffloadError(f"the task's process ended with status {code}; its standard error says why")
        hint = "; is there enough memory?" if -code == signal.SIGKILL else ""
        raise OffloadError(f"the task's process was killed by {signal.Signals(-code).name}{hint}")

    def _kill(self, task: int, report: asyncio.Future[int | None]) -> None:
        line = self._line
        if line is None or report.done():
            return
        with suppress(OSError):
            line.control.send(COMMAND.pack(KILL, task))

        def check() -> None:
            if not report.done() and self._line is line:
                self._lose("it is stuck")

        asyncio.get_running_loop().call_later(KILL_SECONDS, check)

    # --- the helper

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hear from the helper in ``loop``."""
        if loop is self._loop:
            return
        self._loop = loop
        self._turns = asyncio.Semaphore(MAX_TASKS)
        if self._line is not None:
            loop.add_reader(self._line.control.fileno(), self._hear)

    def _hear(self) -> None:
        """Take a report; nothing is the helper's end."""
        if self._line is None:
            return
        try:
            message = self._line.control.recv(REPORT.size)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._lose("it died")
            return
        task, status = REPORT.unpack(message)
        report = self._reports.pop(task, None)
        if report is not None and not report.done():
            report.set_result(status)

    def _lose(self, why: str | None) -> None:
        """Bury the helper, tell its tasks, and replace it at once where it had been steady."""
        line, self._line = self._line, None
        if line is None:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(line.control.fileno())
        line.bury()
        reports, self._reports = self._reports, {}
        for report in reports.values():
            if not report.done():
                report.set_result(None)
        if why is not None:
            self.on_fault(f"the helper process {line.process} is replaced: {why}")
            if monotonic() - line.since >= STEADY_SECONDS:
                self._renew()

    def _renew(self) -> _Line:
        if self._closed:
            raise OffloadError("the proxy is ending")
        try:
            line = self._line = _spawned()
        except OSError as fault:
            raise OffloadError(f"the helper process cannot be started: {fault}") from fault
        if self._loop is not None:
            self._loop.add_reader(line.control.fileno(), self._hear)
        return line


async def _exchange(channel: socket.socket, request: bytes) -> bytes | None:
    """Send a request and return its outcome, None where the task's process ended without one."""
    reader, writer = await asyncio.open_unix_connection(sock=channel.dup(), limit=READ_CHUNK)
    try:
        writer.write(LENGTH.pack(len(request)))
        writer.write(request)
        await writer.drain()
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > MAX_FRAME:
            raise OffloadError(f"the task's process announces {length} octets, more than {MAX_FRAME}")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    finally:
        writer.close()


def _forked() -> _Line:
    """Fork the helper: for a process of one thread. What there is so far stays shared, out of the collector's sight."""
    gc.collect()
    gc.freeze()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, OTHERS)
    try:
        process = os.fork()
        if not process:
            become_helper(theirs, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    theirs.close()
    return _Line(process, ours)


def _spawned() -> _Line:
    """Start the helper in a fresh interpreter. The signals that are not its business stay blocked until it is ready."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = os.posix_spawn(
            sys.executable, [sys.executable, "-c", script()], os.environ, setsigmask=OTHERS,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), CONTROL),
            ],
        )  # fmt: skip
    return _Line(process, ours)
