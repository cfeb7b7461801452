"""An instance, from its start to its end, whoever carries its traffic.

That is this very process (``alone``), or a crew of workers (``several``). The rest is here: who is asked for what the
judges lack, the admin address, the service manager, what changes the configuration, and the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from proxy.control.inquiry import Inquiry
from proxy.control.ocsp_fetch import open_ocsp
from proxy.control.ocsp_report import Report
from proxy.control.plane import Plane
from proxy.control.planes import ControlPlane, DataPlane
from proxy.decide.peer.answers import Answers
from proxy.observe.admin import Admin
from proxy.observe.faults import report_fault
from proxy.supervise.announce import allow_descriptors, announce, find_neighbours
from proxy.supervise.change import Control, Manager, keep_changing
from proxy.supervise.doors import hand_over
from proxy.supervise.listen import Listener, shared_with
from proxy.supervise.notify import beat
from proxy.supervise.share import share
from proxy.supervise.signals import StopRequest


class Carrier(Protocol):
    """Whatever carries an instance's traffic, in ``workers`` processes.

    ``data`` is where generations are put in force, ``answers`` what is known there, and ``admin`` shows how it is.
    """

    workers: int
    data: DataPlane
    answers: Answers
    admin: Admin

    def loop_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any], /) -> None:
        """Log what the event loop caught."""

    def lives(self) -> bool:
        """Tell whether there is anybody who serves."""

    async def open(self, control: ControlPlane) -> None:
        """Let clients in, and ask ``control`` for what their verdicts lack. Raises OSError."""

    async def drain(self, linger: float, limit: float, cut: asyncio.Event) -> int:
        """Let nobody in after ``linger`` seconds, and end within ``limit``, or at once on ``cut``.

        Returns how many connections were cut.
        """


@dataclass(frozen=True, slots=True)
class Instance:
    """What an instance is given by those around it: its addresses, who manages it, and what makes its plane."""

    listeners: Sequence[Listener]
    manager: Manager
    make_plane: Callable[..., Plane]

    async def serve(self, carrier: Carrier, control: Control) -> int:
        """Serve until a signal ends it; return the exit status. Raises OSError where clients cannot be let in."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(carrier.loop_fault)
        stop = StopRequest(loop, control.log.reopen)
        async with _admin(carrier, control) as admin, _inquiry(carrier, control) as inquiry:
            await carrier.open(inquiry)
            with _meanwhile(beat(self.manager.notifier, carrier.lives)):
                plane = self._plane(carrier, control)
                self._announce(carrier, control, plane.generation)
                with _meanwhile(keep_changing(plane, self.manager, admin, control)):
                    await stop.drain.wait()
                plane.close()
                connections_cut = await self._drain(carrier, plane, stop.cut)
        control.log.write("stopped", connections_cut=connections_cut)
        return 0

    def _plane(self, carrier: Carrier, control: Control) -> Plane:
        """Make what changes the configuration, and have newer CRLs put in force by it."""
        plane = self.make_plane(prepared=control.prepared, data=carrier.data)
        plane.fault = partial(report_fault, control.log, control.metrics)
        plane.complete = control.refresh.complete
        control.refresh.attach(plane.change, carrier.data.settle)
        return plane

    def _announce(self, carrier: Carrier, control: Control, generation: int) -> None:
        """Say that clients are let in, and what there is too little of."""
        prepared, workers = control.prepared, carrier.workers
        limits = share(prepared.frame, workers).limits
        warnings = [*prepared.warnings, *allow_descriptors(limits), *find_neighbours(self.listeners)]
        announce(
            control.log, self.listeners, warnings, workers=workers, admin_port=carrier.admin.port or None,
            generation=generation, hosts=len(prepared.hosts), bundles=len(prepared.bundles),
        )  # fmt: skip
        self.manager.notifier.ready(f"generation {generation}" + (f", {workers} workers" if workers > 1 else ""))

    async def _drain(self, carrier: Carrier, plane: Plane, cut: asyncio.Event) -> int:
        """Leave the addresses to whoever else listens on them, and finish what is under way."""
        self.manager.notifier.stopping("draining")
        if shared_with(carrier.admin.sockets):
            carrier.admin.stop_listening()
        return await carrier.drain(hand_over(self.listeners), plane.prepared.frame.limits.drain_timeout, cut)


@asynccontextmanager
async def _admin(carrier: Carrier, control: Control) -> AsyncIterator[Admin]:
    """Serve the admin address, where there is one."""
    address = control.prepared.frame.admin.address
    try:
        if address is not None:
            await carrier.admin.start(address)
        yield carrier.admin
    finally:
        await carrier.admin.close()


@asynccontextmanager
async def _inquiry(carrier: Carrier, control: Control) -> AsyncIterator[Inquiry]:
    """Make what responders, and those who have CRLs, are asked by."""
    prepared, report = control.prepared, Report(control.log, control.metrics.ocsp)
    responders = open_ocsp(prepared.roots, prepared.cache, carrier.answers, carrier.data.settle, report)
    try:
        yield Inquiry(responders.ask, control.refresh.ask)
    finally:
        await responders.close()


@contextmanager
def _meanwhile(work: Coroutine[Any, Any, None]) -> Iterator[None]:
    """Do ``work`` until the block ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
