"""The composition root: every part is made here, once, and put together."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from proxy.accept.arrival import Arrival
from proxy.control.crl_refresh import CrlRefresh
from proxy.control.fetch import Fetcher
from proxy.control.inquiry import Inquiry
from proxy.control.local import Local
from proxy.control.ocsp_fetch import open_ocsp
from proxy.control.ocsp_report import Report as OcspReport
from proxy.control.offload import Offload
from proxy.control.plane import Plane
from proxy.control.report import Report
from proxy.house import House
from proxy.observe.admin import Admin
from proxy.observe.log import Log, open_log
from proxy.observe.metrics import Metrics
from proxy.snapshot.assemble import Assembler, at_once
from proxy.snapshot.cache import Cache
from proxy.snapshot.cache_choice import Places, PrivateCache, given_directory
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from proxy.supervise.activation import take_handed
from proxy.supervise.announce import allow_descriptors, allow_more, announce, find_neighbours
from proxy.supervise.change import Control, Manager, keep_changing
from proxy.supervise.cpus import usable_cpus
from proxy.supervise.doors import Doors, hand_over
from proxy.supervise.drain import drain
from proxy.supervise.instance import Instance
from proxy.supervise.listen import Listener, close_all, listen_error, open_listeners, shared_with
from proxy.supervise.notify import Notifier, beat, take_notifier
from proxy.supervise.signals import HangUps, StopRequest
from proxy.supervise.turning import leave_to_stay, tick

FIRST_GENERATION: Final = 1

START_SECONDS: Final = 600.0
"""For reading and checking everything at the start, on a machine that starts much else at the same time."""


def run(path: Path) -> int:
    """Serve the configuration at ``path`` until a signal ends it; return the exit status.

    Raises ConfigError, and OSError where an address or the log cannot be opened.
    """
    hangups = HangUps()
    offload = Offload()  # before anything is big, and while there is one thread
    handed, notifier = take_handed(), take_notifier()
    try:
        with _private_cache() as private, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            places = Places(given_directory(os.environ), private)
            prepared = runner.run(_prepared(offload, path, places))
            frame = prepared.frame
            workers = usable_cpus() if frame.workers is None else frame.workers
            listeners = open_listeners([entry.address for entry in frame.listen], handed, workers)
            try:
                with _log(frame.log.target, notifier) as log:
                    plane = partial(Plane, path, generation=FIRST_GENERATION, places=places, offload=offload)
                    manager = Manager(notifier, hangups)
                    serve = _serve if workers == 1 else partial(_supervise, workers)
                    return runner.run(_start(prepared, log, offload, partial(serve, plane, manager, listeners)))
            finally:
                close_all(listeners)
    finally:
        offload.close()
        notifier.close()


async def _prepared(offload: Offload, path: Path, places: Places) -> Prepared:
    """Prepare the first generation where its memory goes away again."""
    return await offload.run(prepare, path, time.time(), places, timeout=START_SECONDS)


@contextmanager
def _log(target: Path | None, notifier: Notifier) -> Iterator[Log]:
    log = open_log(target)
    notifier.on_fault = lambda detail: log.write("warning", level="warning", detail=detail)
    try:
        yield log
    finally:
        log.close()


@contextmanager
def _private_cache() -> Iterator[Cache | None]:
    """Make a cache that goes with the process; None where there is no place for temporary files."""
    try:
        private = PrivateCache()
    except OSError:
        yield None
        return
    try:
        yield private.cache
    finally:
        private.close()


async def _start(prepared: Prepared, log: Log, offload: Offload, serve: Callable[[Control], Awaitable[int]]) -> int:
    """Fetch the CRLs that are elsewhere, then ``serve``; return the exit status."""
    metrics = Metrics(log_dropped=lambda: log.dropped, last_reload_success=time.time())
    fetcher = Fetcher(prepared.roots)
    refresh = CrlRefresh(fetcher, offload, log, metrics)
    try:
        return await serve(Control(await refresh.complete(prepared, strict=False), log, metrics, refresh))
    finally:
        await refresh.close()
        await fetcher.close()


async def _supervise(
    workers: int, make_plane: Callable[..., Plane], manager: Manager, listeners: Sequence[Listener], control: Control
) -> int:
    return await Instance(control, FIRST_GENERATION, workers, listeners).serve(make_plane, manager)


async def _serve(
    make_plane: Callable[..., Plane], manager: Manager, listeners: Sequence[Listener], control: Control
) -> int:
    log, metrics = control.log, control.metrics
    loop = asyncio.get_running_loop()
    assembler = Assembler()
    snapshot = at_once(assembler.assemble(control.prepared, FIRST_GENERATION))
    metrics.describe(snapshot)
    house = House(snapshot, log, metrics, loop, assembler.answers)
    prepared, reports = control.prepared, OcspReport(log, metrics.ocsp)
    responders = open_ocsp(prepared.roots, prepared.cache, assembler.answers, house.settle, reports)
    house.control = Inquiry(responders.ask, control.refresh.ask)
    loop.set_exception_handler(house.loop_fault)
    stop = StopRequest(loop, log.reopen)
    admin = Admin(metrics, lambda: "draining" if house.draining else None)
    if snapshot.config.admin.address is not None:
        await admin.start(snapshot.config.admin.address)
    doors = Doors(lambda: Arrival(house), lambda: close_all(listeners), loop)
    for listener in listeners:
        try:
            await doors.open(listener.sockets)
        except OSError as fault:
            await responders.close()
            raise listen_error(listener.address, fault) from fault
    ticking = asyncio.create_task(tick(house))
    beating = asyncio.create_task(beat(manager.notifier))
    leave_to_stay()
    warnings = [*snapshot.warnings, *allow_descriptors(snapshot.config.limits), *find_neighbours(listeners)]
    announce(
        log, listeners, warnings, workers=1, admin_port=admin.port or None, generation=snapshot.generation,
        hosts=len(snapshot.hosts.hosts), bundles=len(snapshot.bundles),
    )  # fmt: skip
    manager.notifier.ready(f"generation {snapshot.generation}")
    swapped = partial(_swapped, log, {snapshot.config.limits.connections})
    plane = make_plane(prepared=control.prepared, data=Local(assembler, house, swapped))
    plane.fault, plane.complete = house.fault, control.refresh.complete
    control.refresh.attach(plane.change, house.settle)
    changing = asyncio.create_task(keep_changing(plane, manager, admin, Report(log, metrics), control))
    await stop.drain.wait()
    changing.cancel()
    plane.close()
    manager.notifier.stopping("draining")
    if shared_with(admin.sockets):
        admin.stop_listening()
    doors.shut(hand_over(listeners))
    limit = house.in_force.limits.drain_timeout
    log.write("draining", connections=metrics.connections_open, limit=limit)
    cut = await drain(house, limit, stop.cut, doors.closed)
    ticking.cancel()
    beating.cancel()
    await responders.close()
    await house.close()
    await admin.close()
    log.write("stopped", connections_cut=cut)
    return 0


def _swapped(log: Log, warned: set[int], snapshot: Snapshot) -> None:
    """Make room for what a new generation allows; ``warned`` are the numbers of connections that were warned of."""
    for warning in allow_more(snapshot.config.limits, warned):
        log.write("warning", level="warning", detail=warning)
