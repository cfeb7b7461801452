"""The composition root: every part is made here, once, and put together."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import sys
import time
from collections.abc import Iterator
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
from proxy.snapshot.address import Address
from proxy.snapshot.cache import Cache
from proxy.snapshot.cache_choice import Places, PrivateCache, given_directory
from proxy.snapshot.crl_index import mapped_crls
from proxy.snapshot.limits import Limits
from proxy.snapshot.load import load
from proxy.snapshot.model import Snapshot
from proxy.supervise.drain import drain
from proxy.supervise.signals import StopRequest

BACKLOG: Final = 4096
"""Connections that the kernel queues while the loop is busy: several bursts of handshakes of a CDN."""

FIRST_GENERATION: Final = 1

OWN_DESCRIPTORS: Final = 64
"""Beside connections and mapped CRLs: listeners, the log, the admin page's clients, the event loop's own."""


def run(path: Path) -> int:
    """Serve the configuration at ``path`` until a signal ends it; return the exit status.

    Raises ConfigError, and OSError where an address or the log cannot be opened.
    """
    with _private_cache() as private:
        snapshot = load(path, FIRST_GENERATION, time.time(), Places(given_directory(os.environ), private))
        log = open_log(snapshot.config.log.target)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_serve(snapshot, log))
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


async def _serve(snapshot: Snapshot, log: Log) -> int:
    loop = asyncio.get_running_loop()
    metrics = Metrics(log_dropped=lambda: log.dropped)
    metrics.describe(snapshot)
    house = House(snapshot, log, metrics, loop)
    loop.set_exception_handler(house.loop_fault)
    stop = StopRequest(loop, log.reopen)
    admin = Admin(metrics, lambda: "draining" if house.draining else None)
    listeners = [await _listen(house, entry.address, loop) for entry in snapshot.config.listen]
    if snapshot.config.admin.address is not None:
        await admin.start(snapshot.config.admin.address)
    ticking = asyncio.create_task(_tick(house))
    _settle()
    _announce(snapshot, log, listeners, admin)
    await stop.drain.wait()
    log.write("draining", connections=metrics.connections_open, limit=snapshot.config.limits.drain_timeout)
    for listener in listeners:
        listener.close()
    cut = await drain(house, snapshot.config.limits.drain_timeout, stop.cut)
    ticking.cancel()
    await house.close()
    await admin.close()
    log.write("stopped", connections_cut=cut)
    return 0


async def _listen(house: House, address: Address, loop: asyncio.AbstractEventLoop) -> asyncio.Server:
    try:
        return await loop.create_server(
            lambda: Arrival(house), sock=_bind(address), backlog=BACKLOG, start_serving=True
        )
    except OSError as fault:
        cause = os.strerror(fault.errno) if fault.errno and fault.errno > 0 else fault.strerror
        raise OSError(fault.errno, f"cannot listen on {address}: {cause}") from fault


def _bind(address: Address) -> socket.socket:
    """Bind a socket; one of IPv6 takes IPv6 only, as the configuration names each address by itself."""
    family, kind, protocol, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(target)
    except OSError:
        bound.close()
        raise
    return bound


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


def _announce(snapshot: Snapshot, log: Log, listeners: list[asyncio.Server], admin: Admin) -> None:
    """Say what runs, and each loosening by name."""
    warnings = [*snapshot.warnings, *_allow_descriptors(snapshot.config.limits)]
    for warning in warnings:
        log.write("warning", level="warning", detail=warning)
    addresses = [":".join(map(str, s.getsockname()[:2])) for listener in listeners for s in listener.sockets]
    log.write(
        "started",
        version=__version__,
        python=sys.version.split()[0],
        compiled=not str(connection.__file__).endswith(".py"),
        openssl=SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode(),
        pid=os.getpid(),
        listen=addresses,
        admin_port=admin.port or None,
        generation=snapshot.generation,
        hosts=len(snapshot.hosts.hosts),
        bundles=len(snapshot.bundles),
        warnings=len(warnings),
    )
