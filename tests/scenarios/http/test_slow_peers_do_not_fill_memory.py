"""Back-pressure: whoever is slow holds up the other side, and not in the proxy's memory."""

from __future__ import annotations

import threading
from typing import Final

from tests.support.gateway import OK, PIECE, Gateway, Visit, held_up, request, resident
from tests.support.harness import PATIENCE

SIZE: Final = 200 * 1024 * 1024
"""Octets of a large body: far more than all the buffers on its way."""

GROWTH: Final = 16 * 1024 * 1024
"""Octets by which the proxy may grow: some reads of the event loop, their records, and the allocator's slack."""

IN_FLIGHT: Final = 48 * 1024 * 1024
"""Octets that may be on their way: what the kernel keeps for four sockets, and ``GROWTH``."""


def test_a_slow_client_holds_up_the_app(patient: Gateway) -> None:
    """While the app would send 200 MiB; then all of them arrive."""
    stalled, sent = threading.Event(), 0

    def flood(visit: Visit) -> None:
        nonlocal sent
        visit.body()
        visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        piece = bytes(1 << 18)
        while sent < SIZE:
            if not stalled.is_set() and held_up(visit.connection):
                stalled.set()
            sent += visit.connection.send(piece[: SIZE - sent])

    path = patient.app.on("/flood", flood)
    before = resident(patient.proxy.process.pid)
    with patient.admitted() as client:
        client.send(request(path))
        assert stalled.wait(PATIENCE)
        assert sent < IN_FLIGHT
        assert resident(patient.proxy.process.pid) - before < GROWTH
        head = client.until(b"\r\n\r\n")
        assert client.skip(SIZE - len(head.partition(b"\r\n\r\n")[2])) == SIZE - len(head.partition(b"\r\n\r\n")[2])
        assert resident(patient.proxy.process.pid) - before < GROWTH
        assert client.stays


def test_a_slow_app_holds_up_the_client(patient: Gateway) -> None:
    """While the client would send 200 MiB; then all of them arrive."""
    go, sent, got = threading.Event(), 0, 0

    def slow(visit: Visit) -> None:
        nonlocal got
        assert go.wait(PATIENCE)
        got = len(visit.held)
        while got < SIZE:
            got += len(visit.connection.recv(1 << 18))
        visit.held = b""
        visit.say(OK)

    path = patient.app.on("/slow", slow)
    before = resident(patient.proxy.process.pid)
    with patient.admitted() as client:
        client.send(request(path, f"Content-Length: {SIZE}", method="POST"))
        piece = bytes(PIECE)
        while sent < SIZE:
            if not go.is_set() and held_up(client.tls.socket):
                assert sent < IN_FLIGHT
                assert resident(patient.proxy.process.pid) - before < GROWTH
                go.set()
            client.send(piece)
            sent += PIECE
        assert client.answer().status == 200
        assert go.is_set()
    assert got == SIZE
    assert resident(patient.proxy.process.pid) - before < GROWTH
