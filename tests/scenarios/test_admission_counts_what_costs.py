"""Who was refused costs nothing any more, and takes nobody's place in the handshakes."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

from proxy.operate.demo.pki import Leaf
from tests.support.harness import PATIENCE, RawOrigin, TlsClient, running
from tests.support.site import ZONE, small_site

HANDSHAKES = 4


def test_refused_clients_that_stay_do_not_fill_the_handshakes(tmp_path: Path) -> None:
    """Twice as many as there may be handshakes are refused and do not close; the next client is served."""
    with RawOrigin() as origin, ExitStack() as stack:
        config, cdn = small_site(tmp_path, origin.port, limits={"handshakes": HANDSHAKES})
        proxy = stack.enter_context(running(config))
        for _ in range(2 * HANDSHAKES):
            refused = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), PATIENCE))
            refused.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert refused.recv(4096).startswith(b"HTTP/1.1 400 ")
        client = stack.enter_context(TlsClient(proxy.port, ZONE, cdn.issue(Leaf(subject="edge"))).handshake())
        assert client.get("/", ZONE).status == 200
        assert "originward_handshakes_in_progress 0" in proxy.metrics()
        assert f"originward_connections_open {2 * HANDSHAKES + 1}" in proxy.metrics()


def test_handshakes_that_hang_are_counted(tmp_path: Path) -> None:
    """Then there is no room for more, until they have run out of time."""
    with RawOrigin() as origin, ExitStack() as stack:
        limits = {"handshakes": HANDSHAKES, "handshake_timeout": "1s"}
        config, cdn = small_site(tmp_path, origin.port, limits=limits)
        proxy = stack.enter_context(running(config))
        for _ in range(HANDSHAKES):
            stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)).sendall(b"\x16")
        while f"originward_handshakes_in_progress {HANDSHAKES}" not in proxy.metrics():
            continue
        credential = cdn.issue(Leaf(subject="edge"))
        with TlsClient(proxy.port, ZONE, credential).handshake() as client:
            assert client.error is not None
        assert proxy.reason("handshake.refused") == "too-many-connections"
        deadline = time.monotonic() + PATIENCE
        while "originward_handshakes_in_progress 0" not in proxy.metrics():
            assert time.monotonic() < deadline
        with TlsClient(proxy.port, ZONE, credential).handshake() as client:
            assert client.get("/", ZONE).status == 200
