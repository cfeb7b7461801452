"""What the service manager is told (sd_notify(3)): ready, reloading, stopping, and that the program still lives."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Final

MICROSECONDS: Final = 1_000_000

BEATS: Final = 2
"""Signs of life per watchdog time-out, as sd_watchdog_enabled(3) advises."""


class Notifier:
    """Sends to the socket that systemd names; sends nothing where none was named.

    ``period`` is how often it wants ``alive``, in seconds, None where it does not. A message that cannot be sent is
    told to ``on_fault`` and not tried again: systemd acts on what is missing.
    """

    def __init__(self, address: str = "", period: float | None = None) -> None:
        self.period = period
        self.on_fault: Callable[[str], None] = lambda _detail: None
        self._stops = False
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)

    def ready(self, status: str) -> None:
        """Say that connections are taken, or that a reload is over, well or not; who stops is not ready again."""
        if self._stops:
            self.status(status)
        else:
            self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that a reload has begun; ``ready`` ends it. While requests finish before the end, it is not said."""
        if not self._stops:
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        """Say that the end has begun."""
        self._stops = True
        self._send("STOPPING=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """Say something for ``systemctl status``."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Say that the program works; without it for the watchdog's time, it is ended and started anew."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as fault:
            self.on_fault(f"the service manager cannot be told {lines[0]}: {fault.strerror}")


async def beat(notifier: Notifier, lives: Callable[[], bool] = lambda: True) -> None:
    """Send signs of life as often as they are wanted, as long as this loop turns and ``lives`` says so."""
    while notifier.period is not None:
        if lives():
            notifier.alive()
        await asyncio.sleep(notifier.period)


def take_notifier(environment: MutableMapping[str, str] = os.environ, process: int | None = None) -> Notifier:
    """Make the notifier that the environment asks for, and leave no trace of it for children, who are not meant."""
    address = environment.pop("NOTIFY_SOCKET", "")
    microseconds = environment.pop("WATCHDOG_USEC", "")
    meant = environment.pop("WATCHDOG_PID", "")
    period = None
    if microseconds.isdecimal() and int(microseconds) and meant in ("", str(process or os.getpid())):
        period = int(microseconds) / MICROSECONDS / BEATS
    return Notifier(address if address.startswith(("/", "@")) else "", period)
