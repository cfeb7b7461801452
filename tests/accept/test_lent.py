"""Large answers: whole and in order, also for a client that takes its time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.accept import lent
from proxy.accept.lent import PIECE, write_large
from tests.support.memory import LenientJudge, MemoryClient, shake

TEXT = bytes(range(251)) * (3 * PIECE // 251)


class Wire(asyncio.Transport):
    """Takes so many octets at once; what is left of a write stays where it is, as with the event loop's."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes
        self.taken = b""
        self.kept: list[bytes | memoryview] = []

    def get_write_buffer_size(self) -> int:
        """Return what is left."""
        return sum(map(len, self.kept))

    def write(self, data: Any) -> None:
        """Take what fits."""
        size = 0 if self.kept else self.takes
        self.taken += data[:size]
        if size < len(data):
            self.kept.append(data[size:])

    def rest(self) -> bytes:
        """Return all that was ever written."""
        return self.taken + b"".join(self.kept)


@pytest.mark.parametrize("tls12", [True, False], ids=["1.2", "1.3"])
@pytest.mark.parametrize("takes", [1 << 30, PIECE, 1000, 0])
def test_what_is_written_stays_as_it_is(takes: int, tls12: bool) -> None:
    """Though others write before a slow client has taken it."""
    slow, other = MemoryClient(tls12=tls12), MemoryClient(tls12=tls12)
    sessions = shake(LenientJudge(), slow), shake(LenientJudge(), other)
    wires = Wire(takes), Wire(1 << 30)
    for _ in range(2):
        for session, wire in zip(sessions, wires, strict=True):
            write_large(session, wire, memoryview(TEXT))
    assert slow.hear(wires[0].rest()) == TEXT * 2
    assert other.hear(wires[1].rest()) == TEXT * 2


def test_a_slow_client_keeps_one_shared_place_at_most() -> None:
    """What it has not taken by then is copied, and takes no more than it is long."""
    session, wire = shake(LenientJudge(), MemoryClient()), Wire(1000)
    write_large(session, wire, memoryview(TEXT))
    assert [type(kept) for kept in wire.kept] == [memoryview, bytes, bytes]


def test_what_does_not_fit_the_place_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS may have a lot to say of its own."""
    monkeypatch.setattr(lent, "ROOM", PIECE // 2)
    client = MemoryClient()
    session, wire = shake(LenientJudge(), client), Wire(1 << 30)
    write_large(session, wire, memoryview(TEXT))
    assert client.hear(wire.rest()) == TEXT
