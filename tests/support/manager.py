"""A service manager: it hands over sockets and listens to what it is told, as systemd does."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.harness import PATIENCE, ProxyProcess, readable

_HAND_OVER = """
import os, sys
count = int(sys.argv[1])
for place in range(count):
    os.dup2(int(sys.argv[2 + place]), 3 + place)
    os.close(int(sys.argv[2 + place]))
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


def start_with(config: Path, sockets: Sequence[socket.socket], **environment: str) -> ProxyProcess:
    """Start a proxy that is handed ``sockets``, which stay open here."""
    # Out of the way of the numbers that they are to have.
    copies = [fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, 100) for sock in sockets]
    before = [sys.executable, "-c", _HAND_OVER, str(len(copies)), *map(str, copies)]
    try:
        return ProxyProcess(config, before, {"LISTEN_FDS": str(len(copies)), **environment}, pass_fds=copies)
    finally:
        for number in copies:
            os.close(number)


class Manager:
    """The end that is told: ``heard`` has every message so far."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.heard: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(PATIENCE)

    def wait_for(self, name: str) -> dict[str, str]:
        """Return the next message that assigns ``name``."""
        while True:
            message = dict(line.split("=", 1) for line in self._socket.recv(4096).decode().split("\n"))
            self.heard.append(message)
            if name in message:
                return message

    def pending(self, seconds: float = 0) -> bool:
        """Read one more message, if one comes within ``seconds``."""
        if not readable(self._socket, seconds):
            return False
        self._socket.recv(4096)
        return True

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@contextmanager
def manager(folder: Path) -> Iterator[Manager]:
    """Listen for the length of a block."""
    listening = Manager(folder / "notify")
    try:
        yield listening
    finally:
        listening.close()
