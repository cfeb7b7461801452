"""Thousands of open connections of many identities, and who of them hears the end."""

from __future__ import annotations

import selectors
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from proxy.operate.demo.pki import Credential
from tests.soak.traffic import ask, connect, context

AT_A_TIME = 8
"""Handshakes under way."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What became of a part of the crowd: how many ended, when the last of them did, how many others heard a thing."""

    closed: int
    at: float
    disturbed: int


class Crowd:
    """Open connections by identity; each has had an answer, and is idle."""

    def __init__(self, port: int, folder: Path) -> None:
        self._port, self._folder = port, folder
        self.open: dict[str, list[ssl.SSLSocket]] = {}

    def join(self, who: str, credential: Credential, connections: int) -> None:
        """Open connections of one identity."""
        credential.write(self._folder / who)
        shown = context(self._folder / who)

        def one(_number: int) -> ssl.SSLSocket:
            connection = connect(self._port, shown)
            fault = ask(connection)
            assert not fault, fault
            return connection

        with ThreadPoolExecutor(AT_A_TIME) as threads:
            self.open[who] = list(threads.map(one, range(connections)))

    @property
    def size(self) -> int:
        """How many are open."""
        return sum(map(len, self.open.values()))

    def leave(self, who: str, patience: float) -> Gone:
        """Wait for the end of all connections of one identity; they are no more of the crowd."""
        leaving = self.open.pop(who)
        at, closed = time.monotonic(), 0
        deadline = at + patience
        with selectors.DefaultSelector() as selector:
            for connection in leaving:
                selector.register(connection, selectors.EVENT_READ)
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    selector.unregister(key.fileobj)
                    at, closed = time.monotonic(), closed + 1
        for connection in leaving:
            connection.close()
        return Gone(closed, at, len(self.heard()))

    def heard(self) -> Sequence[ssl.SSLSocket]:
        """Return the connections on which anything came that nobody asked for."""
        with selectors.DefaultSelector() as selector:
            for connections in self.open.values():
                for connection in connections:
                    selector.register(connection, selectors.EVENT_READ)
            return [key.fileobj for key, _ in selector.select(0)]  # type: ignore[misc]

    def unserved(self) -> int:
        """Ask on every connection; return how many had no good answer."""
        return sum(bool(_asked(connection)) for row in self.open.values() for connection in row)

    def end(self) -> None:
        """Close all."""
        for connections in self.open.values():
            for connection in connections:
                connection.close()
        self.open.clear()


def _asked(connection: ssl.SSLSocket) -> str:
    try:
        return ask(connection)
    except OSError as fault:
        return str(fault)
