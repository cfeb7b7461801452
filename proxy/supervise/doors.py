"""Doors: the listening sockets that a process accepts from, and how they are shut without losing who is on the way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable

from proxy.supervise.listen import BACKLOG, HANDOVER_SECONDS, Listener, hush, shared_with


class Doors:
    """Accepts connections; ``arrive`` makes the protocol of each, ``let_go`` is called when no more are accepted."""

    def __init__(
        self, arrive: Callable[[], asyncio.Protocol], let_go: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._arrive = arrive
        self._let_go = let_go
        self._loop = loop
        self._servers: dict[int, asyncio.Server] = {}
        self._shut = asyncio.Event()

    async def open(self, sockets: Iterable[socket.socket]) -> None:
        """Accept from ``sockets``, too; they stay the caller's. Raises OSError."""
        for sock in sockets:
            number = sock.fileno()
            if number not in self._servers and not self._shut.is_set():
                self._servers[number] = await self._loop.create_server(self._arrive, sock=sock.dup(), backlog=BACKLOG)

    def leave(self, sockets: Iterable[socket.socket]) -> None:
        """Accept from ``sockets`` no more; somebody else does."""
        for sock in sockets:
            server = self._servers.pop(sock.fileno(), None)
            if server is not None:
                server.close()

    def shut(self, seconds: float) -> None:
        """Accept no more, after ``seconds`` for what is on its way."""
        if seconds:
            self._loop.call_later(seconds, self._close)
        else:
            self._close()

    async def closed(self) -> None:
        """Wait until nothing is accepted any more."""
        await self._shut.wait()

    def _close(self) -> None:
        self._shut.set()
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        self._let_go()


def hand_over(listeners: Iterable[Listener]) -> float:
    """Begin to leave the addresses to whoever else listens on them; return the seconds for what is on its way to us.

    What the service manager handed over it keeps, with all that waits in its queue.
    """
    ours = [sock for listener in listeners if listener.own for sock in listener.sockets]
    shared = shared_with(ours)
    leaving = ours if shared is None else shared
    for sock in leaving:
        hush(sock)
    return HANDOVER_SECONDS if leaving else 0.0
