"""Local: the data plane where it is in this very process and loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from time import perf_counter
from typing import Final

from proxy.control.planes import PublishError
from proxy.snapshot.assemble import Assembler, Steps
from proxy.snapshot.crl_index import CrlIndexError
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepared import Prepared

SLICE: Final = 0.003
"""Seconds of assembling before connections get their turn. One step more may take a millisecond."""


class Local:
    """Assembles snapshots, and hands them to ``swap`` whole. Implements ``Publisher``."""

    def __init__(self, assembler: Assembler, swap: Callable[[Snapshot], None]) -> None:
        self._assembler = assembler
        self._swap = swap

    async def stage(self, prepared: Prepared, generation: int) -> Snapshot:
        """Assemble a generation, in slices; nothing is in force yet. Raises PublishError."""
        try:
            return await in_slices(self._assembler.assemble(prepared, generation))
        except CrlIndexError as fault:
            raise PublishError(str(fault)) from fault

    async def publish(self, prepared: Prepared, generation: int) -> None:
        """Put a generation in force. Raises PublishError."""
        self._swap(await self.stage(prepared, generation))


async def in_slices(steps: Steps[Snapshot]) -> Snapshot:
    """Do all steps, and let others have their turn in between.

    Garbage is not looked for meanwhile: all that is made here stays, and walking it again and again would be the
    longest pause of all.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        until = perf_counter() + SLICE
        while True:
            try:
                next(steps)
            except StopIteration as done:
                snapshot: Snapshot = done.value
                return snapshot
            if perf_counter() >= until:
                await asyncio.sleep(0)
                until = perf_counter() + SLICE
    finally:
        if collecting:
            gc.enable()
