"""Drain: requests in flight finish, nobody new comes in, and there is an end to it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.house import House


async def drain(house: House, limit: float, cut: asyncio.Event) -> int:
    """Close what is idle, wait at most ``limit`` seconds for the rest, then cut it; return how many were cut.

    ``cut`` ends the wait at once.
    """
    house.drain()
    emptied = asyncio.ensure_future(house.emptied())
    stopped = asyncio.ensure_future(cut.wait())
    await asyncio.wait((emptied, stopped), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    for waiting in (emptied, stopped):
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
    return house.cut()
