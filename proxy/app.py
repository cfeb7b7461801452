"""The composition root: every part is made here, once, and put together."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from proxy.control.crl_refresh import CrlRefresh
from proxy.control.fetch import Fetcher
from proxy.control.offload import Offload
from proxy.control.plane import Plane
from proxy.house import House
from proxy.observe.log import Log, open_log
from proxy.observe.metrics import Metrics
from proxy.snapshot.assemble import Assembler, at_once
from proxy.snapshot.cache import Cache
from proxy.snapshot.cache_choice import Places, PrivateCache, given_directory
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from proxy.supervise.activation import take_handed
from proxy.supervise.alone import Alone
from proxy.supervise.change import Control, Manager
from proxy.supervise.cpus import usable_cpus
from proxy.supervise.instance import Instance
from proxy.supervise.listen import Listener, close_all, open_listeners
from proxy.supervise.notify import Notifier, take_notifier
from proxy.supervise.several import Several
from proxy.supervise.signals import HangUps

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
                    instance = Instance(listeners, Manager(notifier, hangups), plane)
                    return runner.run(_serve(instance, workers, prepared, log, offload))
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


async def _serve(instance: Instance, workers: int, prepared: Prepared, log: Log, offload: Offload) -> int:
    """Fetch the CRLs that are elsewhere, then serve until a signal ends it; return the exit status."""
    metrics = Metrics(log_dropped=lambda: log.dropped, last_reload_success=time.time())
    fetcher = Fetcher(prepared.roots)
    refresh = CrlRefresh(fetcher, offload, log, metrics)
    try:
        control = Control(await refresh.complete(prepared, strict=False), log, metrics, refresh)
        make = _alone if workers == 1 else partial(Several, FIRST_GENERATION, workers)
        return await instance.serve(make(instance.listeners, control), control)
    finally:
        await refresh.close()
        await fetcher.close()


def _alone(listeners: Sequence[Listener], control: Control) -> Alone:
    """Make the house that this process is, with the first generation in force."""
    assembler = Assembler()
    snapshot = at_once(assembler.assemble(control.prepared, FIRST_GENERATION))
    control.metrics.describe(snapshot)
    house = House(snapshot, control.log, control.metrics, asyncio.get_running_loop(), assembler.answers)
    return Alone(house, assembler, listeners)
