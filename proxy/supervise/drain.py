"""Drain: requests in flight finish, nobody new comes in, and there is an end to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.house import House


async def nobody_comes() -> None:
    """Wait for nothing: the doors are shut."""


async def drain(
    house: House, limit: float, cut: asyncio.Event, closed: Callable[[], Awaitable[None]] = nobody_comes
) -> int:
    """Close what is idle, wait at most ``limit`` seconds for the rest, then cut it; return how many were cut.

    ``closed`` waits until nobody new comes in; ``cut`` ends the wait at once.
    """
    house.drain()
    emptied = asyncio.ensure_future(_emptied(house, closed))
    stopped = asyncio.ensure_future(cut.wait())
    await asyncio.wait((emptied, stopped), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    for waiting in (emptied, stopped):
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
    return house.cut()


async def _emptied(house: House, closed: Callable[[], Awaitable[None]]) -> None:
    await closed()
    await house.emptied()
