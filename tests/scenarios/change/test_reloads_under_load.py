"""Reloads in a row under a steady load: not one failed request, on old connections and on new ones."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.operate.demo.pki import Authority, Credential, Leaf
from tests.support.gateway import resident
from tests.support.harness import PATIENCE, ProxyProcess, RawOrigin, TlsClient, running
from tests.support.site import ZONE, required, small_site

RELOADS = 40
"""In a row. A soak does a thousand; what would fail or grow does so in these."""

WARM = 15
"""Reloads after which memory has found its level: caches and the allocator's pools are filled."""

GROWTH = 3 << 20
"""Octets that the rest may add: less than 100 KB each, where a generation that stayed would be several times that."""


class Load(threading.Thread):
    """Sends one request after the other, on one connection or on a new one each; ``failed`` says what went wrong."""

    def __init__(self, proxy: ProxyProcess, credential: Credential, *, keep: bool) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self.failed: list[str] = []
        self._stop_asked = threading.Event()
        self._proxy = proxy
        self._credential = credential
        self._keep = keep

    def run(self) -> None:
        """Send requests until told to stop."""
        client = self._connect()
        while not self._stop_asked.is_set():
            status = client.get("/", ZONE).status
            if status != 200:
                self.failed.append(f"request {self.sent}: {status} {client.error}")
                client = self._connect()
            self.sent += 1
            if not self._keep:
                client.close()
                client = self._connect()
        client.close()

    def _connect(self) -> TlsClient:
        client = TlsClient(self._proxy.port, ZONE, self._credential).handshake()
        if client.error is not None:
            self.failed.append(f"handshake {self.sent}: {client.error}")
        return client

    def stop(self) -> None:
        """Stop, and wait for the last request."""
        self._stop_asked.set()
        self.join(PATIENCE)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[tuple[ProxyProcess, Path, Authority]]:
    """Run a proxy that reloads when told to."""
    with RawOrigin() as origin:
        config, cdn = small_site(tmp_path, origin.port, required(), reload={"watch": False})
        with running(config) as proxy:
            yield proxy, config, cdn


def test_not_one_request_fails(proxy: tuple[ProxyProcess, Path, Authority]) -> None:
    """And memory does not grow."""
    process, config, cdn = proxy
    credential = cdn.issue(Leaf(dns=("edge.example",)))
    loads = [Load(process, credential, keep=True), Load(process, credential, keep=False)]
    for load in loads:
        load.start()
    text = config.read_text()
    warm = 0
    for number in range(RELOADS):
        mark = process.mark()
        Authority.root(f"CA {number}").write(config.parent / "new.pem")
        anchors = (config.parent / "cdn.pem").read_bytes() + (config.parent / "new.pem").read_bytes()
        (config.parent / "both.pem").write_bytes(anchors)
        config.write_text(text.replace("cdn.pem", "both.pem"))
        process.process.send_signal(signal.SIGHUP)
        line = process.wait_for(lambda line: line["event"].startswith("reload."), mark)
        assert (line["event"], line["generation"]) == ("reload.done", number + 2)
        if number == WARM:
            warm = resident(process.process.pid)
    for load in loads:
        load.stop()
    assert [load.failed for load in loads] == [[], []]
    assert all(load.sent > RELOADS for load in loads), [load.sent for load in loads]
    assert resident(process.process.pid) - warm < GROWTH
