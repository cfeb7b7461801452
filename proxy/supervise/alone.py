"""Alone: the one process of an instance carries its traffic itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from proxy.accept.arrival import Arrival
from proxy.control.local import Local
from proxy.control.planes import ControlPlane, DataPlane
from proxy.house import House
from proxy.observe.admin import Admin
from proxy.observe.log import Log
from proxy.snapshot.assemble import Assembler
from proxy.snapshot.model import Snapshot
from proxy.supervise.allocator import keep_freed
from proxy.supervise.announce import allow_more
from proxy.supervise.doors import Doors
from proxy.supervise.drain import drain
from proxy.supervise.listen import Listener, close_all, listen_error
from proxy.supervise.turning import leave_to_stay, tick


class Alone:
    """A house with its doors. Implements ``instance.Carrier``; ``assembler`` has made what is in force there."""

    workers = 1

    def __init__(self, house: House, assembler: Assembler, listeners: Sequence[Listener]) -> None:
        warned = {house.in_force.snapshot.config.limits.connections}
        self.data: DataPlane = Local(assembler, house, partial(_swapped, house.log, warned))
        self.answers = assembler.answers
        self.admin = Admin(house.metrics, lambda: "draining" if house.draining else None)
        self._house = house
        self._listeners = listeners
        self._doors = Doors(lambda: Arrival(house), lambda: close_all(listeners), house.loop)

    def loop_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any], /) -> None:
        """Log what the event loop caught, and cut the connection that it happened to."""
        self._house.loop_fault(loop, context)

    def lives(self) -> bool:
        """Whoever can answer does."""
        return True

    async def open(self, control: ControlPlane) -> None:
        """Let clients in. Raises OSError naming the address where that fails."""
        self._house.control = control
        for listener in self._listeners:
            try:
                await self._doors.open(listener.sockets)
            except OSError as fault:
                raise listen_error(listener.address, fault) from fault
        self._ticking = asyncio.create_task(tick(self._house))
        leave_to_stay()
        keep_freed()

    async def drain(self, linger: float, limit: float, cut: asyncio.Event) -> int:
        """Let requests finish, and nobody new in."""
        house = self._house
        self._doors.shut(linger)
        house.log.write("draining", connections=house.metrics.connections_open, limit=limit)
        connections_cut = await drain(house, limit, cut, self._doors.closed)
        self._ticking.cancel()
        await house.close()
        return connections_cut


def _swapped(log: Log, warned: set[int], snapshot: Snapshot) -> None:
    """Make room for what a new generation allows; ``warned`` are the numbers of connections that were warned of."""
    for warning in allow_more(snapshot.config.limits, warned):
        log.write("warning", level="warning", detail=warning)
