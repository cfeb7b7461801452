"""The composition root: every part is made here, once, and put together."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import uvloop
from OpenSSL import SSL

from proxy import __version__, connection
from proxy.accept.arrival import Arrival
from proxy.control.local import Local
from proxy.control.offload import Offload
from proxy.control.plane import Plane
from proxy.control.report import Report
from proxy.house import TICK, House
from proxy.observe.admin import Admin
from proxy.observe.log import Log, open_log
from proxy.observe.metrics import Metrics
from proxy.snapshot.assemble import Assembler, at_once
from proxy.snapshot.cache import Cache
from proxy.snapshot.cache_choice import Places, PrivateCache, given_directory
from proxy.snapshot.crl_index import mapped_crls
from proxy.snapshot.limits import Limits
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from proxy.supervise.activation import take_handed
from proxy.supervise.change import Manager, keep_changing
from proxy.supervise.doors import Doors, hand_over
from proxy.supervise.drain import drain
from proxy.supervise.listen import Listener, close_all, listen_error, open_listeners, shared_with
from proxy.supervise.notify import Notifier, beat, take_notifier
from proxy.supervise.signals import HangUps, StopRequest

FIRST_GENERATION: Final = 1

START_SECONDS: Final = 600.0
"""For reading and checking everything at the start, on a machine that starts much else at the same time."""

OWN_DESCRIPTORS: Final = 64
"""Beside connections and mapped CRLs: listeners, the log, the admin page's clients, the event loop's own."""


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
            listeners = open_listeners([entry.address for entry in prepared.frame.listen], handed)
            try:
                with _log(prepared.frame.log.target, notifier) as log:
                    plane = partial(Plane, path, prepared, FIRST_GENERATION, places=places, offload=offload)
                    return runner.run(_serve(prepared, log, plane, Manager(notifier, hangups), listeners))
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


async def _serve(
    prepared: Prepared,
    log: Log,
    make_plane: Callable[..., Plane],
    manager: Manager,
    listeners: Sequence[Listener],
) -> int:
    loop = asyncio.get_running_loop()
    assembler = Assembler()
    snapshot = at_once(assembler.assemble(prepared, FIRST_GENERATION))
    metrics = Metrics(log_dropped=lambda: log.dropped, last_reload_success=time.time())
    metrics.describe(snapshot)
    house = House(snapshot, log, metrics, loop)
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
            raise listen_error(listener.address, fault) from fault
    ticking = asyncio.create_task(_tick(house))
    beating = asyncio.create_task(beat(manager.notifier))
    _settle()
    _announce(snapshot, log, listeners, admin)
    manager.notifier.ready(f"generation {snapshot.generation}")
    plane = make_plane(data=Local(assembler, lambda snapshot: _publish(house, snapshot)))
    plane.fault = house.fault
    changing = asyncio.create_task(keep_changing(plane, manager, admin, Report(log, metrics), log))
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
    await house.close()
    await admin.close()
    log.write("stopped", connections_cut=cut)
    return 0


def _publish(house: House, snapshot: Snapshot) -> None:
    """Put a generation in force, and take it out of the garbage collector's sight."""
    house.publish(snapshot)
    for warning in _allow_descriptors(snapshot.config.limits):
        house.log.write("warning", level="warning", detail=warning)
    gc.freeze()


async def _tick(house: House) -> None:
    while True:
        house.tick()
        await asyncio.sleep(TICK)


def _settle() -> None:
    """Take what was loaded out of the garbage collector's sight: it stays, and walking it would pause the loop."""
    gc.collect()
    gc.freeze()


def _allow_descriptors(limits: Limits) -> Iterator[str]:
    """Raise the process's limit of open files as far as is needed and allowed; warn where that is not enough."""
    needed = 2 * limits.connections + OWN_DESCRIPTORS + mapped_crls()  # a client's, and one to the app
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        yield (
            f"the system allows {soft} open files, and limits.connections: {limits.connections} may need {needed}; "
            "raise the hard limit (LimitNOFILE= in systemd, ulimit -Hn), or lower limits.connections"
        )


def _of_neighbours(listeners: Sequence[Listener]) -> Iterator[str]:
    """Warn of others who listen on our addresses: an instance that is to be replaced, or one that nobody remembers."""
    shared = shared_with([sock for listener in listeners for sock in listener.sockets]) or frozenset()
    for listener in listeners:
        if listener.own and not shared.isdisjoint(listener.sockets):
            yield (
                f"another process listens on {listener.shown}, too, and gets its share of the connections; "
                "if it is the instance that this one replaces, stop it now"
            )


def _announce(snapshot: Snapshot, log: Log, listeners: Sequence[Listener], admin: Admin) -> None:
    """Say what runs, and each loosening by name."""
    warnings = [*snapshot.warnings, *_allow_descriptors(snapshot.config.limits), *_of_neighbours(listeners)]
    for warning in warnings:
        log.write("warning", level="warning", detail=warning)
    log.write(
        "started",
        version=__version__,
        python=sys.version.split()[0],
        compiled=not str(connection.__file__).endswith(".py"),
        openssl=SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode(),
        pid=os.getpid(),
        listen=[listener.shown for listener in listeners],
        admin_port=admin.port or None,
        generation=snapshot.generation,
        hosts=len(snapshot.hosts.hosts),
        bundles=len(snapshot.bundles),
        warnings=len(warnings),
    )
