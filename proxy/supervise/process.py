"""A worker's process as its supervisor sees it: how it is started, heard, and how it ended.

It is started by executing the interpreter anew, with the descriptors that it needs and no others; nothing of the
supervisor's memory, loop or threads gets into it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, Self

from proxy.control.helper import OTHERS
from proxy.observe.log import Log
from proxy.supervise import messages
from proxy.supervise.channel import Channel
from proxy.supervise.listen import Listener
from proxy.supervise.relay import Relay

STDERR: Final = 2

LAST_SECONDS: Final = 5.0
"""For a worker without a channel to end, with its last log lines."""

_HINTS: Final = {
    signal.SIGKILL: "; if nobody did that, the system ran out of memory: see its log",
    signal.SIGSEGV: "; a fault in the interpreter or in a library: please report it",
    signal.SIGABRT: "; a fault in the interpreter or in a library: please report it",
}


class Process:
    """A running worker. ``hear`` is called with it and each message, ``ended`` with it and how it ended.

    ``generation`` is what it has in force, None before it serves; ``heard`` is the monotonic time of its last word.
    """

    def __init__(self, number: int, popen: subprocess.Popen[bytes]) -> None:
        self.number = number
        self.pid = popen.pid
        self.since = self.heard = monotonic()
        self.generation: int | None = None
        self.doors: frozenset[int] = frozenset()
        self.cut: int | None = None
        self.why = ""
        self.silent = asyncio.Event()
        self.gone = asyncio.Event()
        self.channel: Channel
        self._popen = popen
        self._lost = asyncio.Event()

    @classmethod
    async def start(
        cls, number: int, listeners: Sequence[Listener], log: Log,
        hear: Callable[[Process, object], None], ended: Callable[[Process, str], None],
    ) -> Self:  # fmt: skip
        """Start a worker. Raises OSError where the system has no process or descriptor left."""
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        with theirs:
            try:
                self = cls(number, _spawn(number, theirs.fileno(), write, _doors(listeners)))
            except OSError:
                ours.close()
                os.close(read)
                raise
            finally:
                os.close(write)
        loop = asyncio.get_running_loop()
        Relay(loop, read, log, self.silent.set)
        self._watch(loop, ended)
        self.channel = await Channel.over(ours, lambda message: hear(self, message), self._disconnected)
        return self

    def _watch(self, loop: asyncio.AbstractEventLoop, ended: Callable[[Process, str], None]) -> None:
        """Have ``ended`` told when the process has ended and all that it sent was heard."""
        descriptor = os.pidfd_open(self.pid)

        async def bury() -> None:
            await self._lost.wait()
            _, status = os.waitpid(self.pid, 0)  # noqa: ASYNC222 - it has ended
            self._popen.returncode = os.waitstatus_to_exitcode(status)
            self.gone.set()
            ended(self, f"{self.why}{how(status, hint=not self.why)}")

        def readable() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self._burial = asyncio.ensure_future(bury())

        loop.add_reader(descriptor, readable)

    def _disconnected(self) -> None:
        """Take care that a worker that is not to be reached any more ends; one that has said all is about to."""
        self._lost.set()
        asyncio.get_running_loop().call_later(LAST_SECONDS, self.kill, "it closed its channel and went on; ")

    def kill(self, why: str) -> None:
        """End it at once; ``why`` is what the log says of it."""
        if not self.gone.is_set():
            self.why = self.why or why
            os.kill(self.pid, signal.SIGKILL)

    def say(self, message: object) -> None:
        """Send a message."""
        self.channel.send(message)

    def serve(self, numbers: frozenset[int]) -> None:
        """Have it accept from the sockets of these workers, if it does not already."""
        if numbers != self.doors:
            self.doors = numbers
            self.say(messages.Serve(numbers))


def _doors(listeners: Sequence[Listener]) -> tuple[tuple[int, ...], ...]:
    return tuple(zip(*([sock.fileno() for sock in listener.sockets] for listener in listeners), strict=True))


def _spawn(number: int, channel: int, log: int, doors: tuple[tuple[int, ...], ...]) -> subprocess.Popen[bytes]:
    # By its own path: proxy.supervise.worker imports everything, and this module must not need it.
    order = f"Order({number}, {os.getpid()}, {channel}, {log}, {doors})"
    script = f"import sys; sys.path[:] = {sys.path!r}; from proxy.supervise.worker import Order, main; main({order})"
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, OTHERS)  # inherited, until the worker ignores them
    try:
        return subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", script], stdin=subprocess.DEVNULL, stdout=STDERR,
            pass_fds={channel, log, *(door for some in doors for door in some)},
        )  # fmt: skip
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def how(status: int, *, hint: bool = True) -> str:
    """Say how a process ended, by its wait status, with a ``hint`` at what may have ended it."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}" + ("; its standard error says why" if code else "")
    number = signal.Signals(-code)
    core = ", core dumped" if os.WCOREDUMP(status) else ""
    return f"killed by {number.name}{core}{_HINTS.get(number, '') if hint else ''}"
