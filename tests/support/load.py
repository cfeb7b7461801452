"""A steady load of new connections, and what failed of it."""

from __future__ import annotations

import threading

from proxy.operate.demo.pki import Credential
from tests.support.harness import PATIENCE, TlsClient
from tests.support.site import ZONE


class Load:
    """Clients that connect, ask once and go, one after the other, and keep what failed."""

    def __init__(self, port: int, credential: Credential, clients: int = 4) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._port, self._credential = port, credential
        self._stop = threading.Event()
        self._more = threading.Condition()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            error = self._once()
            with self._more:
                self.answered += not error
                self.failed.extend([error] if error else [])
                self._more.notify_all()

    def _once(self) -> str:
        try:
            with TlsClient(self._port, ZONE, self._credential).handshake() as client:
                if client.error:
                    return client.error
                status = client.get("/", ZONE).status
        except OSError as fault:
            return f"{type(fault).__name__}: {fault}"
        return "" if status == 200 else f"status {status} {client.error}"

    def goes_on(self, requests: int) -> None:
        """Wait until so many more requests are answered."""
        with self._more:
            goal = self.answered + requests
            assert self._more.wait_for(lambda: self.answered >= goal or bool(self.failed), PATIENCE)

    def goes_on_whatever_fails(self, requests: int) -> None:
        """Wait until so many more requests are answered."""
        with self._more:
            goal = self.answered + requests
            assert self._more.wait_for(lambda: self.answered >= goal, PATIENCE)

    def end(self) -> None:
        """Stop all clients."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
