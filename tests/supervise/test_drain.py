"""Drain: it ends when the house is empty, when the time is up, or when somebody insists; then nothing is left."""

from __future__ import annotations

import asyncio
from typing import cast

from proxy.house import House
from proxy.supervise.drain import drain

LONG = 3600.0


class FakeHouse:
    """Has ``open`` connections, which ``leave`` ends and ``cut`` counts."""

    def __init__(self, connections: int) -> None:
        self.open = connections
        self.calls: list[str] = []
        self._gone = asyncio.Event()
        if not connections:
            self._gone.set()

    def drain(self) -> None:
        """Close what is idle."""
        self.calls.append("drain")

    async def emptied(self) -> None:
        """Wait for the last one."""
        await self._gone.wait()

    def leave(self) -> None:
        """Let the last one finish."""
        self.open = 0
        self._gone.set()

    def cut(self) -> int:
        """Close the rest."""
        self.calls.append("cut")
        return self.open


def _drained(connections: int, limit: float, event: str) -> tuple[int, list[str], int]:
    """Drain a house to which ``event`` happens; return what was cut, what was called, and the tasks left over."""

    async def run() -> tuple[int, list[str], int]:
        house, cut = FakeHouse(connections), asyncio.Event()
        happenings = {"leaves": house.leave, "insists": cut.set, "nothing": lambda: None}
        asyncio.get_running_loop().call_soon(happenings[event])
        async with asyncio.timeout(5):
            count = await drain(cast("House", house), limit, cut)
        return count, house.calls, len(asyncio.all_tasks()) - 1

    return asyncio.run(run())


def test_an_empty_house_is_drained_at_once() -> None:
    """Nothing is waited for."""
    assert _drained(0, LONG, "nothing") == (0, ["drain", "cut"], 0)


def test_the_last_connection_ends_it() -> None:
    """However long the limit is."""
    assert _drained(3, LONG, "leaves") == (0, ["drain", "cut"], 0)


def test_the_limit_ends_it() -> None:
    """What is left is cut and counted."""
    assert _drained(3, 0.01, "nothing") == (3, ["drain", "cut"], 0)


def test_who_insists_ends_it() -> None:
    """A second signal does not wait for the limit."""
    assert _drained(2, LONG, "insists") == (2, ["drain", "cut"], 0)
