"""What keeps a process going: its house, or without one its log."""

from __future__ import annotations

import asyncio
import gc
from time import monotonic

from proxy.house import TICK, House
from proxy.observe.log import Log


async def tick(house: House) -> None:
    """Look at the clock, again and again."""
    while True:
        house.tick()
        await asyncio.sleep(TICK)


async def tick_log(log: Log) -> None:
    """Say what was folded, again and again, where there is no house that does."""
    while True:
        log.tick(monotonic())
        await asyncio.sleep(TICK)


def leave_to_stay() -> None:
    """Take what was loaded out of the garbage collector's sight: it stays, and walking it would pause the loop."""
    gc.collect()
    gc.freeze()
