"""The log lines of a worker on their way into the one log.

Each worker writes to a pipe of its own and the supervisor alone writes to where the log goes, so lines of two
processes never mix, however long they are and whatever the log is. Where the log's reader is slow, nothing is read from
the pipes: lines then wait in the workers, which count what they have to drop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from proxy.observe.log import Log

CHUNK: Final = 64 * 2**10
"""Octets of one read: what a pipe holds."""

RETRY_SECONDS: Final = 0.05
"""Between two looks at whether the log has room again."""


class Relay:
    """Passes on what comes over ``descriptor``, a pipe's end, which is the relay's; tells ``ended`` of its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, log: Log, ended: Callable[[], None]) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._log = log
        self._ended = ended
        self._rest = b""
        self._lines: list[bytes] = []
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._end()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines.extend(line + b"\n" for line in lines)
        if not self._pass_on():
            self._loop.remove_reader(self._descriptor)
            self._loop.call_later(RETRY_SECONDS, self._retry)

    def _retry(self) -> None:
        if self._pass_on():
            self._loop.add_reader(self._descriptor, self._read)
        else:
            self._loop.call_later(RETRY_SECONDS, self._retry)

    def _pass_on(self) -> bool:
        """Put lines into the log as long as it has room; True where none is left."""
        taken = 0
        for line in self._lines:
            if not self._log.pass_on(line):
                break
            taken += 1
        del self._lines[:taken]
        return not self._lines

    def _end(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        if self._rest:  # the worker died in the middle of a line that was longer than a pipe takes whole
            self._log.write("log.dropped", level="error", count=1)
        self._ended()
