"""The sink: a bounded buffer that the loop appends lines to, and a thread that writes them.

The loop never waits: where the buffer is full the line is counted instead. The thread never spins: it sleeps until
there is a line, then until the consumer takes it, and after a failure for a while. One writer per consumer: the two
sides share a deque and one counter each, so neither needs a lock.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections import deque
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Final

MAX_BUFFER: Final = 8 * 2**20
"""Octets that wait for a slow consumer: some 10,000 lines, which is seconds of a flood."""

BATCH_SECONDS: Final = 0.02
"""Between two writes. A busy loop then pays for 50 thread switches a second, not for one per line."""

RETRY_SECONDS: Final = 1.0
"""Between two attempts at a consumer that fails: a full disk or a closed pipe does not change any faster."""

CLOSE_SECONDS: Final = 3.0
"""For the last lines at the end. A consumer that takes longer is stuck, and must not keep the process alive."""

POLL_SECONDS: Final = 0.25
"""Between two looks at whether it is time to stop, while a consumer takes nothing."""

FILE_CHUNK: Final = 64 * 2**10
"""Octets per write to a file."""

PIPE_CHUNK: Final = select.PIPE_BUF
"""Octets per write to a pipe: no more than the kernel takes whole, so that nobody else's line gets in between."""

STDERR: Final = 2

FILE_MODE: Final = 0o640
"""The log names clients and addresses: it is for its owner and the group that collects logs."""


def open_append(path: str) -> int:
    """Open ``path`` for appending and return its descriptor; raise OSError naming it.

    Without blocking: a FIFO that nobody reads is an error at once and not a start that never ends.
    """
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE)


class Sink:
    """Lines on their way to the descriptor ``fd``. With a ``path`` it is the sink's own: closed, and opened anew.

    All methods are for one thread, the loop's. Make it after the last fork: threads do not survive one.
    Raises OSError where ``fd`` is not open.
    """

    def __init__(self, fd: int, path: str | None = None, max_buffer: int = MAX_BUFFER) -> None:
        self.dropped = 0
        self._fd = fd
        self._path = path
        self._max = max_buffer
        self._chunk_size = _chunk_size(fd)
        self._lines: deque[bytes] = deque()
        self._put = 0  # octets; only the loop's thread writes it
        self._written = 0  # octets; only the writer's thread writes it
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._deadline = inf
        self._reopen = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="originward-log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The octets that were put and not yet written."""
        return self._put - self._written

    def room_for(self, octets: int) -> bool:
        """Whether a line of that many octets would be taken."""
        return self.waiting + octets <= self._max

    def put(self, line: bytes, *, urgent: bool = False) -> bool:
        """Take a line, which ends in a newline; False, and counted, where there is no room. Never waits.

        An urgent line needs no room: it is the one that says how many others had none.
        """
        if self._stop.is_set() or not (urgent or self.room_for(len(line))):
            self.dropped += 1
            return False
        self._put += len(line)
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()
        return True

    def reopen(self) -> None:
        """Open the path anew before the next write, as log rotation asks; without a path there is nothing to open."""
        self._reopen = self._path is not None
        self._wake.set()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, for at most ``seconds``, and end the thread; what is left then is told on stderr."""
        if self._stop.is_set():
            return
        self._deadline = monotonic() + seconds
        self._stop.set()
        self._wake.set()
        # The thread may look at the deadline late by one poll; only a write that the kernel holds keeps it longer.
        self._thread.join(seconds + 2 * POLL_SECONDS)
        if self.waiting:
            _tell(f"{self.waiting} octets of log lines could not be written before the end")
        if self._path is not None and not self._thread.is_alive():
            os.close(self._fd)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._wake.wait()
            self._wake.clear()
            # Read before the buffer is emptied: what was put before the stop is written, and nothing is put after it.
            stopping = self._stop.is_set()
            self._rotate()
            while chunk := self._next_chunk():
                if not self._write(chunk):
                    return
            self._stop.wait(BATCH_SECONDS)

    def _next_chunk(self) -> bytes:
        """Take whole lines up to the chunk's size, and at least one if there is one."""
        lines: list[bytes] = []
        size = 0
        while self._lines and (not lines or size + len(self._lines[0]) <= self._chunk_size):
            line = self._lines.popleft()
            lines.append(line)
            size += len(line)
        return b"".join(lines)

    def _write(self, chunk: bytes) -> bool:
        """Write all of ``chunk``, however long the consumer takes; False where the end came first."""
        done = 0
        while done < len(chunk):
            if self._rotate():
                # Whole lines only in the new file: what the old one got of this chunk is written again.
                self._written -= done
                done = 0
            if not _writable(self._fd, POLL_SECONDS):
                if monotonic() >= self._deadline:
                    return False
                continue
            count = self._attempt(memoryview(chunk)[done:])
            if count is None and self._stop.wait(RETRY_SECONDS):
                return False
            done += count or 0
            self._written += count or 0
        return True

    def _attempt(self, octets: memoryview) -> int | None:
        """Write once and return how much the consumer took, or None where it failed, told once per failure."""
        try:
            count = os.write(self._fd, octets)
        except BlockingIOError:
            return 0
        except OSError as fault:
            if not self._failing:
                self._failing = True
                _tell(f"the log cannot be written: {fault}; lines wait up to {self._max} octets, then are counted")
            return None
        self._failing = False
        return count

    def _rotate(self) -> bool:
        """Open the path anew if that was asked for; keep the old file where that fails, and say so."""
        if not self._reopen or self._path is None:
            return False
        self._reopen = False
        try:
            fd = open_append(self._path)
        except OSError as fault:
            _tell(f"the log cannot be opened anew, the old file goes on: {fault}")
            return False
        os.close(self._fd)
        self._fd, self._chunk_size = fd, _chunk_size(fd)
        return True


def _chunk_size(fd: int) -> int:
    return FILE_CHUNK if stat.S_ISREG(os.fstat(fd).st_mode) else PIPE_CHUNK


def _writable(fd: int, seconds: float) -> bool:
    """Wait until a write would not block, or would fail at once; False if that took longer than ``seconds``."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


def _tell(message: str) -> None:
    """Say what the log itself cannot say on stderr, if stderr listens."""
    # Nowhere is left to report a stderr that is gone or full, and waiting for it would stop the log.
    with suppress(OSError):
        if _writable(STDERR, 0):
            os.write(STDERR, f"originward: {message}\n".encode(errors="backslashreplace"))
