"""The helper: a process of one thread that forks once per task, so that a task's memory goes away with it.

It is told what to do over its control socket, in messages of one packet: start a task (with the descriptor of the
channel that the task is sent over), or kill one; it answers with how each task's process ended. It never reads what
a task is: the task's own process does. It ends with its parent, and ends its tasks with it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NoReturn

CONTROL: Final = 3
"""The helper's descriptor of its control socket: the first behind the standard ones."""

COMMAND: Final = struct.Struct("!cQ")
"""To the helper: START or KILL, and the number of a task."""

START: Final = b"s"
KILL: Final = b"k"

REPORT: Final = struct.Struct("!Qi")
"""From the helper: the number of a task that ended, and its wait status, or NOT_STARTED."""

NOT_STARTED: Final = -1

LENGTH: Final = struct.Struct("!Q")
"""Of what follows on a channel: a request, or an outcome."""

MAX_FRAME: Final = 512 << 20
"""Octets of a request or an outcome: a configuration of 10,000 hosts with all its certificates takes a tenth of it."""

OOM_SCORE: Final = 500
"""Added to a task's out-of-memory score: where memory runs out, a task goes before what serves."""

NICENESS: Final = 10
"""Of a task: traffic comes first where there is one core for both."""

OTHERS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})
"""Signals that are meant for the parent, even where a terminal or systemd sends them to the whole group."""

WARM: Final = ("proxy.snapshot.load",)
"""What a helper that was not forked from a warm process imports before it takes tasks."""

_PR_SET_PDEATHSIG: Final = 1


def become_helper(control: socket.socket, parent: int) -> NoReturn:
    """Turn this process, a child of ``parent``, into the helper at the other end of ``control``. OTHERS are blocked."""
    try:
        for number in OTHERS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OTHERS)
        die_with(parent)
        keep_only(control.fileno())
        Helper().serve()
    except BaseException:  # noqa: BLE001 - nothing may get back into the parent's code, which this process was
        with suppress(Exception):
            traceback.print_exc()
    finally:
        os._exit(1)


def main(parent: int) -> NoReturn:
    """Be the helper in an interpreter of its own, with the control socket at CONTROL and all OTHERS blocked."""
    for module in WARM:
        importlib.import_module(module)
    with socket.socket(fileno=os.dup(CONTROL)) as control:
        become_helper(control, parent)


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when ``parent`` ends, however it ends. Raises ChildProcessError."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        raise ChildProcessError("the parent has ended")


def keep_only(control: int) -> None:
    """Move ``control`` to CONTROL and close all else but standard error: a listener kept open would refuse nobody."""
    null = os.open(os.devnull, os.O_RDWR)
    kept = os.dup(control)
    for target, source in ((0, null), (1, null), (CONTROL, kept)):
        os.dup2(source, target, inheritable=False)
    for descriptor in _open_descriptors():
        if descriptor > CONTROL:
            with suppress(OSError):  # the listing's own is closed already
                os.close(descriptor)


def _open_descriptors() -> Iterable[int]:
    """List them; to try all numbers takes minutes where a container allows a thousand million."""
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - names are numbers
    except OSError:
        return range(os.sysconf("SC_OPEN_MAX"))


class Helper:
    """Starts, kills and buries the processes of tasks; the control socket is at CONTROL."""

    def __init__(self) -> None:
        self._control = socket.socket(fileno=CONTROL)
        self._tasks: dict[int, int] = {}
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        gc.disable()  # a collection writes to every object's page, and so takes it out of what is shared
        gc.freeze()

    def serve(self) -> None:
        """Do what the parent asks until it closes its end."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poller.poll()}
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._bury()
            if CONTROL in ready and not self._obey():
                break
        for process in self._tasks:
            os.kill(process, signal.SIGKILL)
        os._exit(0)

    def _obey(self) -> bool:
        """Read one message; False is for the parent's end."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, COMMAND.size, 1, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # the parent ended with a report unread
            return False
        if not message:
            return False
        command, task = COMMAND.unpack(message)
        if command == KILL:
            self._kill(task)
            return True
        try:
            self._start(task, descriptors[0])
        except OSError:
            self._report(task, NOT_STARTED)
        finally:
            os.close(descriptors[0])
        return True

    def _start(self, task: int, channel: int) -> None:
        helper = os.getpid()
        process = os.fork()
        if process:
            self._tasks[process] = task
            return
        try:
            signal.set_wakeup_fd(-1)
            die_with(helper)
            self._control.close()
            with socket.socket(fileno=channel) as line:
                work(line)
        finally:
            os._exit(1)

    def _kill(self, task: int) -> None:
        for process, number in self._tasks.items():
            if number == task:
                os.kill(process, signal.SIGKILL)

    def _bury(self) -> None:
        while self._tasks:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            self._report(self._tasks.pop(process), status)

    def _report(self, task: int, status: int) -> None:
        with suppress(OSError):  # the parent is gone, as the next message will say
            self._control.send(REPORT.pack(task, status))


def work(channel: socket.socket) -> NoReturn:
    """Do the one task that comes over ``channel``, answer with its outcome, and end."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - one write
        score.write(str(OOM_SCORE))
    with suppress(OSError):
        os.nice(NICENESS)
    gc.enable()
    request = _receive(channel)
    outcome = _outcome(request)
    channel.sendall(LENGTH.pack(len(outcome)))
    channel.sendall(outcome)
    os._exit(0)


def _receive(channel: socket.socket) -> bytearray:
    (length,) = LENGTH.unpack(channel.recv(LENGTH.size, socket.MSG_WAITALL))
    data = bytearray(length)
    view, at = memoryview(data), 0
    while at < length:
        count = channel.recv_into(view[at:])
        if not count:
            raise EOFError("the parent has ended")
        at += count
    return data


def _outcome(request: bytearray) -> bytes:
    """Run what a request asks for; pickle whether it went well, and its result or its exception."""
    try:
        function, arguments = pickle.loads(request)  # noqa: S301 - from our own parent
        del request
        return _bounded(pickle.dumps((True, function(*arguments)), protocol=5))
    except BaseException as fault:  # noqa: BLE001 - it is raised again where the task was asked for
        fault.add_note("in the task's process:\n" + "".join(traceback.format_exception(fault)))
        return _pickled(fault)


def _bounded(outcome: bytes) -> bytes:
    if len(outcome) > MAX_FRAME:
        raise OverflowError(f"the result takes {len(outcome)} octets, more than {MAX_FRAME}")
    return outcome


def _pickled(fault: BaseException) -> bytes:
    """Pickle an exception, also one whose class cannot be called with the exception's arguments."""
    plain = fault.with_traceback(None)
    for form in (plain, _Bare(plain), RuntimeError(f"{type(fault).__name__}: {fault}", *fault.__notes__)):
        with suppress(Exception):
            outcome = pickle.dumps((False, form), protocol=5)
            if isinstance(pickle.loads(outcome)[1], BaseException):  # noqa: S301 - just written
                return outcome
    raise fault


class _Bare:
    """Pickles an exception as its class, arguments and attributes, past its constructor."""

    def __init__(self, fault: BaseException) -> None:
        self._fault = fault

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self._fault), self._fault.args, self._fault.__dict__)


def rebuild(kind: type[BaseException], arguments: Iterable[object], state: dict[str, object]) -> BaseException:
    """Make an exception anew without calling its constructor."""
    fault = kind.__new__(kind, *arguments)
    fault.args = tuple(arguments)
    fault.__dict__.update(state)
    return fault


def script() -> str:
    """Return what a fresh interpreter runs to become the helper of this process, with this process's own path."""
    return f"import sys, os; sys.path[:] = {sys.path!r}; from proxy.control.helper import main; main({os.getpid()})"
