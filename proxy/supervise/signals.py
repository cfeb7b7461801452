"""Signals: what the operator says to a running process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


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
