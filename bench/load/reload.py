"""What a reload costs those who are connected, and how long it takes until a stranger sees it."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from bench.load.client import AnswerError, Client
from bench.load.heads import Heads

INTERVAL: Final = 0.005
"""Seconds between two requests of the one who is connected: a pause is seen to that precision."""

LOOK_EVERY: Final = 0.02
"""Seconds between two looks whether the new host is there."""

PATIENCE: Final = 120.0
"""Seconds until a reload has to show."""

AFTERMATH: Final = 1.0
"""Seconds for which the connected one goes on: what is old is still being put away."""


@dataclass
class Regular:
    """Asks every INTERVAL on one connection, and on a new one where that was ended; ``waits`` count from when due."""

    connect: Callable[[], Client]
    heads: Heads
    waits: list[float] = field(default_factory=list)
    reconnects: int = 0
    fault: BaseException | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until stopped; a request that fails twice is a fault."""
        try:
            self._run(self.connect())
        except (AnswerError, OSError) as fault:
            self.fault = fault

    def _run(self, client: Client) -> None:
        due = time.perf_counter()
        while not self._stop.wait(max(due - time.perf_counter(), 0)):
            try:
                client.ask(self.heads.next())
            except (AnswerError, OSError):
                client.close()
                client = self.connect()
                client.ask(self.heads.next())
                self.reconnects += 1
            now = time.perf_counter()
            self.waits.append(now - due)
            due = max(due + INTERVAL, now)
        client.close()

    def stop(self) -> None:
        """End the asking."""
        self._stop.set()


def until_served(port: int, name: str, tls: ssl.SSLContext) -> float:
    """Return the seconds until a new connection for ``name`` is shown a certificate of that name."""
    start = time.perf_counter()
    while _shown(port, name, tls) != name:
        if time.perf_counter() - start > PATIENCE:
            raise AnswerError(f"{name} is not served {PATIENCE:g} s after the reload")
        time.sleep(LOOK_EVERY)
    return time.perf_counter() - start


def _shown(port: int, name: str, tls: ssl.SSLContext) -> str | None:
    """Return the common name of the certificate that is shown for a name; None where the handshake is refused."""
    with suppress(OSError):
        client = Client(port, name, tls)
        try:
            der = client.tls.getpeercert(binary_form=True) or b""
        finally:
            client.close()
        (attribute,) = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(attribute.value)
    return None
