"""Signals: what the operator says to a running process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType


class StopRequest:
    """SIGTERM and SIGINT ask to drain; a second one asks to cut. ``reopen`` is called on SIGUSR1 (log rotation)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, reopen: Callable[[], None]) -> None:
        self.drain = asyncio.Event()
        self.cut = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGUSR1, reopen)

    def _stop(self) -> None:
        if self.drain.is_set():
            self.cut.set()
        self.drain.set()


class HangUps:
    """SIGHUP asks for a reload: one that comes before anybody can do one is kept for later, and never ends the process.

    Make it first of all.
    """

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGHUP, self._note)

    def attach(self, loop: asyncio.AbstractEventLoop, reload: Callable[[], object]) -> None:
        """Call ``reload`` for each from now on, and for any that came before."""
        loop.add_signal_handler(signal.SIGHUP, reload)
        if self._asked:
            reload()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
