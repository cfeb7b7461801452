"""The composition root: every part is made here, once, and put together."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvloop
from OpenSSL import SSL

from proxy import __version__, connection
from proxy.accept.arrival import Arrival
from proxy.house import TICK, House
from proxy.observe.admin import Admin
from proxy.observe.log import Log, open_log
from proxy.observe.metrics import Metrics
from proxy.snapshot.cache import Cache
from proxy.snapshot.cache_choice import Places, PrivateCache, given_directory
from proxy.snapshot.crl_index import mapped_crls
from proxy.snapshot.limits import Limits
from proxy.snapshot.load import load
from proxy.snapshot.model import Snapshot
from proxy.supervise.activation import take_handed
from proxy.supervise.doors import Doors, hand_over
from proxy.supervise.drain import drain
from proxy.supervise.listen import Listener, close_all, listen_error, open_listeners, shared_with
from proxy.supervise.notify import Notifier, beat, take_notifier
from proxy.supervise.signals import StopRequest

FIRST_GENERATION: Final = 1

OWN_DESCRIPTORS: Final = 64
"""Beside connections and mapped CRLs: listeners, the log, the admin page's clients, the event loop's own."""


def run(path: Path) -> int:
    """Serve the configuration at ``path`` until a signal ends it; return the exit status.

    Raises ConfigError, and OSError where an address or the log cannot be opened.
    """
    handed, notifier = take_handed(), take_notifier()
    with _private_cache() as private:
        snapshot = load(path, FIRST_GENERATION, time.time(), Places(given_directory(os.environ), private))
        listeners = open_listeners([entry.address for entry in snapshot.config.listen], handed)
        log = open_log(snapshot.config.log.target)
        notifier.on_fault = lambda detail: log.write("warning", level="warning", detail=detail)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_serve(snapshot, log, listeners, notifier))
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


async def _serve(snapshot: Snapshot, log: Log, listeners: Sequence[Listener], notifier: Notifier) -> int:
    loop = asyncio.get_running_loop()
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
    ticking = asyncio.create_task(_tick(house))
    beating = asyncio.create_task(beat(notifier))
    _settle()
    _announce(snapshot, log, listeners, admin)
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
