"""Local: the data plane where it is in this very process and loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Final, Protocol, TypeVar

from proxy.control.planes import PublishError, Settled
from proxy.snapshot.assemble import Assembler, Course, Steps
from proxy.snapshot.crl_index import CrlIndexError
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepared import Prepared

SLICE: Final = 0.003
"""Seconds of assembling before connections get their turn. One step more may take a millisecond."""

_T = TypeVar("_T")


class Traffic(Protocol):
    """Whatever carries traffic under a snapshot."""

    def staging(self, snapshot: Snapshot) -> Steps[Callable[[], None]]:
        """Make ready what goes with a snapshot, in steps; what they come to puts it in force."""

    def settle(self, outcomes: Mapping[bytes, Settled]) -> None:
        """Pass on how needs ended."""


class Local:
    """Assembles snapshots, and puts them in force at ``traffic``; ``swapped`` is told of each. A ``DataPlane``."""

    def __init__(self, assembler: Assembler, traffic: Traffic, swapped: Callable[[Snapshot], None]) -> None:
        self._assembler = assembler
        self._traffic = traffic
        self._swapped = swapped

    async def stage(self, prepared: Prepared, generation: int) -> Callable[[], None]:
        """Assemble a generation, in slices, and return what puts it in force. Raises PublishError."""
        try:
            snapshot = await in_slices(self._assembler.assemble(prepared, generation))
        except CrlIndexError as fault:
            raise PublishError(str(fault)) from fault
        swap = await in_slices(self._traffic.staging(snapshot))

        def swap_and_tell() -> None:
            swap()
            self._swapped(snapshot)

        return swap_and_tell

    async def publish(self, prepared: Prepared, generation: int) -> None:
        """Put a generation in force, and let go of the one before. Raises PublishError."""
        with uncollected():
            (await self.stage(prepared, generation))()
        await in_slices(self._assembler.dismantle())

    def settle(self, outcomes: Mapping[bytes, Settled]) -> None:
        """Pass on how needs ended."""
        self._traffic.settle(outcomes)


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector of garbage from what is made here, now and for good.

    All of it stays, and nothing in it is ever garbage in a circle; to walk it even once is the longest pause of all.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


async def in_slices(steps: Steps[_T]) -> _T:
    """Do all steps, and let others have their turn in between."""
    course = Course(steps)
    until = perf_counter() + SLICE
    for _ in course:
        if perf_counter() >= until:
            await asyncio.sleep(0)
            until = perf_counter() + SLICE
    return course.result
