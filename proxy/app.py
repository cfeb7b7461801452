"""The composition root: every part is made here, once, and put together."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvloop

from proxy.accept.arrival import Arrival
from proxy.house import House
from proxy.observe.admin import Admin
from proxy.observe.log import Log, open_log
from proxy.observe.metrics import Metrics
from proxy.snapshot.assemble import Assembler, at_once
from proxy.snapshot.cache import Cache
from proxy.snapshot.cache_choice import Places, PrivateCache, given_directory
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from proxy.supervise.activation import take_handed
from proxy.supervise.announce import allow_descriptors, announce, find_neighbours
from proxy.supervise.cpus import usable_cpus
from proxy.supervise.doors import Doors, hand_over
from proxy.supervise.drain import drain
from proxy.supervise.instance import Instance
from proxy.supervise.listen import Listener, close_all, listen_error, open_listeners, shared_with
from proxy.supervise.notify import Notifier, beat, take_notifier
from proxy.supervise.signals import StopRequest
from proxy.supervise.turning import leave_to_stay, tick

FIRST_GENERATION: Final = 1


def run(path: Path) -> int:
    """Serve the configuration at ``path`` until a signal ends it; return the exit status.

    Raises ConfigError, and OSError where an address or the log cannot be opened.
    """
    handed, notifier = take_handed(), take_notifier()
    with _private_cache() as private:
        prepared = prepare(path, time.time(), Places(given_directory(os.environ), private))
        frame = prepared.frame
        workers = usable_cpus() if frame.workers is None else frame.workers
        listeners = open_listeners([entry.address for entry in frame.listen], handed, workers)
        log = open_log(frame.log.target)
        notifier.on_fault = lambda detail: log.write("warning", level="warning", detail=detail)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                if workers > 1:
                    return runner.run(Instance(prepared, FIRST_GENERATION, workers, listeners, log).serve(notifier))
                return runner.run(_serve(prepared, log, listeners, notifier))
        finally:
            close_all(listeners)
            log.close()
            notifier.close()


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


async def _serve(prepared: Prepared, log: Log, listeners: Sequence[Listener], notifier: Notifier) -> int:
    loop = asyncio.get_running_loop()
    snapshot = at_once(Assembler().assemble(prepared, FIRST_GENERATION))
    metrics = Metrics(log_dropped=lambda: log.dropped)
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
    ticking = asyncio.create_task(tick(house))
    beating = asyncio.create_task(beat(notifier))
    leave_to_stay()
    warnings = [*snapshot.warnings, *allow_descriptors(snapshot.config.limits), *find_neighbours(listeners)]
    announce(
        log, listeners, warnings, workers=1, admin_port=admin.port or None, generation=snapshot.generation,
        hosts=len(snapshot.hosts.hosts), bundles=len(snapshot.bundles),
    )  # fmt: skip
    notifier.ready(f"generation {snapshot.generation}")
    await stop.drain.wait()
    notifier.stopping("draining")
    if shared_with(admin.sockets):
        admin.stop_listening()
    doors.shut(hand_over(listeners))
    log.write("draining", connections=metrics.connections_open, limit=snapshot.config.limits.drain_timeout)
    cut = await drain(house, snapshot.config.limits.drain_timeout, stop.cut, doors.closed)
    ticking.cancel()
    beating.cancel()
    await house.close()
    await admin.close()
    log.write("stopped", connections_cut=cut)
    return 0
