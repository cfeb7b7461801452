"""An instance of several workers: the supervisor, which carries no traffic itself.

It owns the listening sockets, the log, the admin address and the control plane, and speaks to systemd; its crew does
the rest. Where there is one worker, there is no supervisor: ``app`` serves in its own process.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from typing import Any

from proxy.control.inquiry import Inquiry
from proxy.control.ocsp_fetch import open_ocsp
from proxy.control.ocsp_report import Report as OcspReport
from proxy.control.plane import Plane
from proxy.control.planes import PublishError
from proxy.control.report import Report
from proxy.observe.admin import Admin
from proxy.observe.faults import caught_by_loop, report_fault
from proxy.observe.metrics import Metrics
from proxy.supervise.announce import allow_descriptors, announce, find_neighbours
from proxy.supervise.change import Control, Manager, keep_changing
from proxy.supervise.crew import Crew
from proxy.supervise.doors import hand_over
from proxy.supervise.listen import Listener, close_all, listen_all, shared_with
from proxy.supervise.notify import beat
from proxy.supervise.processes import Processes
from proxy.supervise.share import share
from proxy.supervise.signals import StopRequest


class Instance:
    """The supervisor of ``workers`` processes."""

    def __init__(self, control: Control, generation: int, workers: int, listeners: Sequence[Listener]) -> None:
        self.crew = Crew(workers, listeners, control.log)
        self.own = control.metrics
        self.crew.died = self._count_death
        self.draining = False
        self._prepared = control.prepared
        self._control = control
        self._generation = generation
        self._workers = workers
        self._listeners = listeners
        self._log = control.log
        self._shown = Metrics()

    def readiness(self) -> str | None:
        """Return why no client should be sent here, None where there is no reason."""
        if self.draining:
            return "draining"
        return None if self.crew.serving else "no worker serves"

    async def _gather(self) -> None:
        (await self.crew.count()).fill(self._shown, self.own)

    async def serve(self, make_plane: Callable[..., Plane], manager: Manager) -> int:
        """Serve until a signal ends it; return the exit status. Raises OSError where the workers do not start."""
        loop = asyncio.get_running_loop()
        notifier = manager.notifier
        frame = self._prepared.frame
        stop = StopRequest(loop, self._log.reopen)
        loop.set_exception_handler(self._loop_fault)
        processes = Processes(lambda: [worker.pid for worker in self.crew.there])
        admin = Admin(self._shown, self.readiness, self._gather, processes)
        if frame.admin.address is not None:
            await admin.start(frame.admin.address)
        await self._start(stop)
        prepared, reports = self._prepared, OcspReport(self._log, self.own.ocsp)
        responders = open_ocsp(prepared.roots, prepared.cache, self.crew.answers, self.crew.settle, reports)
        self.crew.asked = Inquiry(responders.ask, self._control.refresh.ask).ask  # no worker was heard before
        beating = asyncio.create_task(beat(notifier, lambda: self.crew.serving > 0))
        limits = share(frame, self._workers).limits
        warnings = [*self._prepared.warnings, *allow_descriptors(limits), *find_neighbours(self._listeners)]
        announce(
            self._log, self._listeners, warnings, workers=self._workers, admin_port=admin.port or None,
            generation=self._generation, hosts=len(self._prepared.hosts), bundles=len(self._prepared.bundles),
        )  # fmt: skip
        notifier.ready(f"generation {self._generation}, {self._workers} workers")
        plane = make_plane(prepared=self._prepared, data=self.crew)
        plane.fault, plane.complete = self._fault, self._control.refresh.complete
        self._control.refresh.attach(plane.change, self.crew.settle)
        report = Report(self._log, self.own)
        changing = asyncio.create_task(keep_changing(plane, manager, admin, report, self._control))
        await stop.drain.wait()
        changing.cancel()
        plane.close()
        self._prepared = plane.prepared
        notifier.stopping("draining")
        if shared_with(admin.sockets):
            admin.stop_listening()
        cut = await self._drain(stop)
        beating.cancel()
        await responders.close()
        await admin.close()
        self._log.write("stopped", connections_cut=cut)
        return 0

    def _count_death(self) -> None:
        self.own.worker_deaths += 1

    def _fault(self, where: str, fault: BaseException) -> None:
        """Count and log an exception that nobody foresaw."""
        report_fault(self._log, self.own, where, fault)

    def _loop_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._fault(*caught_by_loop(context))

    async def _start(self, stop: StopRequest) -> None:
        try:
            await self.crew.start(self._prepared, self._generation)
        except PublishError as fault:
            stop.cut.set()
            await self.crew.end(0, 0, stop.cut)
            raise OSError(errno.ECHILD, f"the workers do not start: {fault}") from fault
        listen_all(self._listeners)
        self.crew.open()

    async def _drain(self, stop: StopRequest) -> int:
        self.draining = True
        limit = self._prepared.frame.limits.drain_timeout
        linger = hand_over(self._listeners)
        close_all(self._listeners)  # the workers have them, too
        await self._gather()
        self._log.write("draining", connections=self._shown.connections_open, limit=limit)
        return await self.crew.end(linger, limit, stop.cut)
