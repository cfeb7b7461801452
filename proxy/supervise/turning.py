"""What keeps a house going, in whichever process it is."""

from __future__ import annotations

import asyncio
import gc

from proxy.house import TICK, House


async def tick(house: House) -> None:
    """Look at the clock, again and again."""
    while True:
        house.tick()
        await asyncio.sleep(TICK)


def leave_to_stay() -> None:
    """Take what was loaded out of the garbage collector's sight: it stays, and walking it would pause the loop."""
    gc.collect()
    gc.freeze()
