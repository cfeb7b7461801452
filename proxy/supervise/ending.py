"""Ending: all workers drain, and none of them stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from proxy.supervise import messages
from proxy.supervise.process import Process

END_SECONDS: Final = 5.0
"""For a worker to end that has drained or was cut, with its last log lines; then it is killed."""


async def end_all(workers: Sequence[Process], linger: float, limit: float, cut: asyncio.Event) -> int:
    """Drain workers: ``linger`` and ``limit`` are in seconds. Return how many connections were cut."""
    for worker in workers:
        worker.say(messages.Drain(linger, limit))
    insisting = asyncio.create_task(_insist(workers, cut))
    try:
        async with asyncio.timeout(linger + limit + END_SECONDS):
            await _all_gone(workers)
    except TimeoutError:
        for worker in workers:
            worker.kill("it did not end; ")
        await _all_gone(workers)
    insisting.cancel()
    for worker in workers:
        await worker.silent.wait()
    return sum(worker.cut or 0 for worker in workers)


async def _all_gone(workers: Sequence[Process]) -> None:
    for worker in workers:
        await worker.gone.wait()


async def _insist(workers: Sequence[Process], cut: asyncio.Event) -> None:
    """Have what is under way cut; who does not end then is killed."""
    await cut.wait()
    for worker in workers:
        worker.say(messages.Cut())
    await asyncio.sleep(END_SECONDS)
    for worker in workers:
        worker.kill("it did not end when told to cut; ")
