"""Several: a crew of workers carries an instance's traffic, and this process, the supervisor, none.

It owns the listening sockets, the log, the admin address and the control plane, and speaks to systemd; its crew does
the rest.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from typing import Any

from proxy.control.planes import ControlPlane, DataPlane, PublishError
from proxy.observe.admin import Admin
from proxy.observe.faults import caught_by_loop, report_fault
from proxy.observe.metrics import Metrics
from proxy.supervise.change import Control
from proxy.supervise.crew import Crew
from proxy.supervise.listen import Listener, close_all, listen_all
from proxy.supervise.processes import Processes
from proxy.supervise.turning import tick_log


class Several:
    """The crew, seen from the supervisor. Implements ``instance.Carrier``."""

    def __init__(self, generation: int, workers: int, listeners: Sequence[Listener], control: Control) -> None:
        self.workers = workers
        self._crew = crew = Crew(workers, listeners, control.log)
        self.data: DataPlane = crew
        self.answers = crew.answers
        self._own = control.metrics
        self._shown = Metrics()
        self.admin = Admin(self._shown, self._readiness, self._gather, Processes(lambda: [w.pid for w in crew.there]))
        self._prepared = control.prepared
        self._generation = generation
        self._listeners = listeners
        self._log = control.log
        self._draining = False
        crew.died = self._count_death

    def loop_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any], /) -> None:
        """Log what the event loop caught."""
        report_fault(self._log, self._own, *caught_by_loop(context))

    def lives(self) -> bool:
        """Tell whether any worker serves."""
        return self._crew.serving > 0

    async def open(self, control: ControlPlane) -> None:
        """Start the workers, and let clients in once all can serve them. Raises OSError."""
        crew = self._crew
        crew.asked = control.ask
        try:
            await crew.start(self._prepared, self._generation)
        except PublishError as fault:
            at_once = asyncio.Event()
            at_once.set()
            await crew.end(0, 0, at_once)
            raise OSError(errno.ECHILD, f"the workers do not start: {fault}") from fault
        listen_all(self._listeners)
        crew.open()
        self._ticking = asyncio.create_task(tick_log(self._log))

    async def drain(self, linger: float, limit: float, cut: asyncio.Event) -> int:
        """Have all workers let requests finish, and nobody new in."""
        self._draining = True
        close_all(self._listeners)  # the workers have them, too
        await self._gather()
        self._log.write("draining", connections=self._shown.connections_open, limit=limit)
        connections_cut = await self._crew.end(linger, limit, cut)
        self._ticking.cancel()
        return connections_cut

    def _readiness(self) -> str | None:
        """Return why no client should be sent here, None where there is no reason."""
        if self._draining:
            return "draining"
        return None if self.lives() else "no worker serves"

    async def _gather(self) -> None:
        (await self._crew.count()).fill(self._shown, self._own)

    def _count_death(self) -> None:
        self._own.worker_deaths += 1
