"""Acknowledging a client's last flight, where nothing else does it.

TLS 1.3 without tickets has nothing to answer that flight with. The kernel would wait 40 ms for something to send along
with its acknowledgement, and a client with Nagle's algorithm waits for that with its request. Most clients have turned
it off, and send their request at once: they are spared the packet, which costs as much as a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final, Protocol

DELAY: Final = 0.001
"""Seconds that a client has for its first request before it is acknowledged: the least that the event loop can wait."""


class Client(Protocol):
    """Who has just completed a handshake."""

    def is_silent(self) -> bool:
        """Tell whether nothing has come from it since."""


class Acknowledger:
    """Acknowledges those who stay silent; one timer serves all who come within its time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[asyncio.Transport, Client]] = []

    def add(self, transport: asyncio.Transport, client: Client) -> None:
        """Look at a client and its connection in a moment."""
        if not self._waiting:
            self._loop.call_later(DELAY, self._look)
        self._waiting.append((transport, client))

    def _look(self) -> None:
        waiting, self._waiting = self._waiting, []
        for transport, client in waiting:
            if client.is_silent() and not transport.is_closing():
                _acknowledge(transport)


def _acknowledge(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it has gone again, which the event loop is about to say
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
