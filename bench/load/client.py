"""A TLS connection of the load: as few calls per request as the standard library allows.

The server's certificate is not checked (every proxy has the same one), sessions are never offered again, so that each
handshake is a full one.
"""

from __future__ import annotations

import re
import socket
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Final

OK: Final = b"HTTP/1.1 200"
BUFFER: Final = 262_144
PATIENCE: Final = 30.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class AnswerError(Exception):
    """A response that is no complete 200: the figures of such a run mean nothing."""


@lru_cache(maxsize=64)
def context(certificate: Path, tls: str) -> ssl.SSLContext:
    """Return a context that shows ``certificate`` (chain and key in one file) and speaks one version of TLS."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = made.maximum_version = _VERSIONS[tls]
    made.load_cert_chain(certificate)
    return made


class Client:
    """One connection: a request at a time, each answer taken whole."""

    def __init__(self, port: int, host: str, tls: ssl.SSLContext) -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = tls.wrap_socket(raw, server_hostname=host)
        self.fd = self.tls.fileno()
        self.due = 0.0
        self._expected = -1
        self._held = b""

    def nonblocking(self) -> None:
        """From now on ``receive`` returns when there is nothing to read."""
        self.tls.setblocking(False)

    def send(self, request: bytes) -> None:
        """Send a request that fits the socket's buffer."""
        self.tls.send(request)

    def receive(self) -> bool:
        """Read what is there; return whether the response is complete. Raises AnswerError."""
        tls = self.tls
        try:
            data = tls.recv(BUFFER)
            if len(data) == self._expected and not self._held and data.startswith(OK):
                return True
            return self._gather(data)
        except ssl.SSLWantReadError:
            return False

    def _gather(self, data: bytes) -> bool:
        """Put a response together that came in pieces, or whose length differs from the last one's."""
        held = self._held + data
        while not self._complete(held):
            if not data:
                raise AnswerError(f"the connection ended within a response: {held[:200]!r}")
            try:
                data = self.tls.recv(BUFFER)
            except ssl.SSLWantReadError:
                self._held = held
                return False
            held += data
        self._expected = len(held)
        self._held = b""
        return True

    def _complete(self, held: bytes) -> bool:
        end = held.find(b"\r\n\r\n") + 4
        if end == 3:
            return False
        length = _LENGTH.search(held, 0, end)
        if not held.startswith(OK) or length is None:
            raise AnswerError(f"no 200 with a Content-Length: {held[:end]!r}")
        whole = end + int(length[1])
        if len(held) > whole:
            raise AnswerError(f"more than was asked for: {held[:end]!r}")
        return len(held) == whole

    def ask(self, request: bytes) -> None:
        """Send a request and wait for the whole response."""
        self.send(request)
        while not self.receive():
            pass

    def close(self) -> None:
        """Close without a word: the measurement is over."""
        self.tls.close()
