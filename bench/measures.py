"""The measures: each puts a load on one proxy and returns figures of it by name.

Every measure returns the proxy's own figures and, where it is about speed, how busy the load was: a client that is at
its own limit says nothing about the requests per second of the proxy.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from bench.load import bulk
from bench.load.client import Client, context
from bench.load.connects import handshakes as connect_many
from bench.load.heads import Heads
from bench.load.loops import IN_FLIGHT, Outcome, closed, paced, percentile
from bench.load.reload import AFTERMATH, Regular, until_served
from bench.peers import PEERS
from bench.plan import Load
from bench.site import BODIES, host_name, route_path
from bench.stage import Subject

MICRO: Final = 1e6
MILLI: Final = 1e3
GIGABYTE: Final = 1e9

REQUESTS: Final = 40_000
"""Per measurement: more than a second of the fastest proxy."""

LARGE_ANSWERS: Final = 10_000
"""The same where bodies are 16 KB or more."""

HANDSHAKES: Final = 1_500
PROBES: Final = 8
HANDSHAKE_SECONDS: Final = 4.0
"""What a measurement of handshakes may take: with a CRL of a million entries some proxies make twenty a second."""

CALIBRATION: Final = 8_000
"""Requests that tell a proxy's saturation before its latency is measured."""

LATENCY_SECONDS: Final = 5.0
LOAD_SHARE: Final = 0.5
"""Of the proxy's own saturation."""

STEADY_RATE: Final = 8_000.0
"""Requests a second: below the saturation of every proxy here."""

STEADY_SECONDS: Final = 3.0

BULK_OCTETS: Final = 300_000_000
"""Moved in each measurement of large bodies."""

WARM_REQUESTS: Final = 3_000
WARM_HANDSHAKES: Final = 150
WARM_SECONDS: Final = 1.0

Figures = dict[str, float]


@dataclass(frozen=True)
class Effort:
    """How much load is put on; ``scale`` 1 is what results are made with.

    ``exact``: as much as that, however long it takes; else slow handshakes are made as the time allows.
    """

    scale: float = 1.0
    exact: bool = False

    def count(self, full: int) -> int:
        """Return a number of operations, never fewer than the requests in flight."""
        return max(int(full * self.scale), IN_FLIGHT)


def warm(subject: Subject, effort: Effort) -> None:
    """Let a proxy allocate, open its connections to the origin, and (where it learns) learn."""
    load = Load(measure="requests")
    _connects(subject, load, _affordable(subject, load, effort, WARM_HANDSHAKES, WARM_SECONDS))
    with _clients(subject, load, IN_FLIGHT) as clients:
        closed(clients, _heads(subject, load), effort.count(WARM_REQUESTS))


def requests(subject: Subject, load: Load, effort: Effort) -> Figures:
    """CPU of a request on open connections, IN_FLIGHT at a time."""
    count = effort.count(LARGE_ANSWERS if load.body >= 16_000 else REQUESTS)
    with _clients(subject, load, load.connections) as all_clients:
        clients = all_clients[: load.busy or None]
        if subject.task.routes > 1:  # each has to be met once before it is known
            closed(clients, _heads(subject, load), effort.count(subject.task.routes))
        return _measured(subject, lambda: closed(clients, _heads(subject, load), count))


def handshakes(subject: Subject, load: Load, effort: Effort) -> Figures:
    """CPU of a full handshake with one request and the connection's end."""
    count = _affordable(subject, load, effort, HANDSHAKES, HANDSHAKE_SECONDS)
    if load.identities > 1 and load.known:
        _connects(subject, load, effort.count(load.identities))
    return _measured(subject, lambda: _connects(subject, load, count))


def _affordable(subject: Subject, load: Load, effort: Effort, full: int, seconds: float) -> int:
    """Return how many handshakes to make: as the effort says, or as many as the time allows where they are slow."""
    count = effort.count(full)
    if effort.exact:
        return count
    outcome = _connects(subject, load, PROBES)
    return max(min(count, int(seconds * PROBES / outcome.elapsed)), PROBES)


def latency(subject: Subject, load: Load, effort: Effort) -> Figures:
    """Latencies at a fixed rate, half of what the proxy does at most.

    That is what its CPU for a request allows it on a core, or what the closed loop reached where the load was the
    limit: at a rate that the client cannot keep up with, the client's own queue would be measured.
    """
    heads = _heads(subject, load)
    with _clients(subject, load, load.connections) as clients:
        most = _measured(subject, lambda: closed(clients, heads, effort.count(CALIBRATION)))
        rate = LOAD_SHARE * min(MICRO / most["cpu_us"], most["per_second"])
        outcome = paced(clients, heads, rate, LATENCY_SECONDS * effort.scale)
    ranked = sorted(outcome.latencies)
    shares = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
    figures = {name: percentile(ranked, share) * MILLI for name, share in shares.items()}
    return {**figures, "max_ms": ranked[-1] * MILLI, "rate": rate, "client_busy": outcome.busy / outcome.elapsed}


def steady(subject: Subject, load: Load, effort: Effort) -> Figures:
    """CPU of a request at a rate that nobody is busy with: each wakes the proxy, whatever the others' batches are."""
    heads = _heads(subject, load)
    with _clients(subject, load, load.connections) as clients:
        return _measured(subject, lambda: paced(clients, heads, STEADY_RATE, STEADY_SECONDS * effort.scale))


def download(subject: Subject, load: Load, effort: Effort) -> Figures:
    """CPU of response bodies."""
    heads = _heads(subject, load)
    return _bulk(subject, load, effort, lambda client: bulk.download(client, heads.next(), load.body))


def upload(subject: Subject, load: Load, effort: Effort) -> Figures:
    """CPU of request bodies."""
    heads = _heads(subject, load, body=load.body)
    return _bulk(subject, load, effort, lambda client: bulk.upload(client, heads.next(), load.body))


def idle(subject: Subject, load: Load, effort: Effort) -> Figures:
    """Memory of an open connection that has made a request, and of the whole proxy before there were any.

    The second half of the connections counts: the first takes what earlier ones left free.
    """
    count = effort.count(load.connections)
    alone = subject.tree.memory_kb()
    with _clients(subject, load, count):
        before = subject.tree.memory_kb()
        with _clients(subject, load, count):
            after = subject.tree.memory_kb()
    return {"kb": (after - before) / count, "rss_mb": alone / MILLI}


def reload(subject: Subject, load: Load, effort: Effort) -> Figures:
    """Time of a reload that adds a host, and what a client that is connected notices of it."""
    del effort
    hosts = subject.task.hosts + next(subject.reloads)
    tls = context(subject.order.keys.client(0), load.tls)
    subject.order.keys.server(hosts - 1)
    regular = Regular(lambda: Client(subject.port, host_name(0), tls), _heads(subject, load))
    thread = threading.Thread(target=regular.run)
    PEERS[subject.name].configure(replace(subject.order, task=replace(subject.task, hosts=hosts)))
    before = subject.tree.cpu_with_ended()
    thread.start()
    try:
        os.kill(subject.tree.root, PEERS[subject.name].reload_signal)
        seconds = until_served(subject.port, host_name(hosts - 1), tls)
        time.sleep(AFTERMATH)
    finally:
        regular.stop()
        thread.join()
    if regular.fault is not None:
        raise regular.fault
    figures = {"seconds": seconds, "pause_ms": max(regular.waits) * MILLI, "reconnects": float(regular.reconnects)}
    return {**figures, "cpu_s": subject.tree.cpu_with_ended() - before}


MEASURES: Final[dict[str, Callable[[Subject, Load, Effort], Figures]]] = {
    "requests": requests, "handshakes": handshakes, "latency": latency, "steady": steady,
    "download": download, "upload": upload, "idle": idle, "reload": reload,
}  # fmt: skip


def _measured(subject: Subject, run: Callable[[], Outcome]) -> Figures:
    before, origin_before = subject.tree.cpu(), subject.origin.cpu()
    outcome = run()
    used, origin_used = subject.tree.cpu() - before, subject.origin.cpu() - origin_before
    return {
        "cpu_us": used / outcome.count * MICRO,
        "per_second": outcome.count / outcome.elapsed,
        "proxy_busy": used / outcome.elapsed,
        "load_busy": (outcome.busy + origin_used) / outcome.elapsed,
    }


def _bulk(subject: Subject, load: Load, effort: Effort, move: Callable[[Client], None]) -> Figures:
    count = max(int(BULK_OCTETS * effort.scale) // load.body, 1)
    with _clients(subject, load, 1) as (client,):
        move(client)
        before = subject.tree.cpu()
        for _ in range(count):
            move(client)
        return {"cpu_s_per_gb": (subject.tree.cpu() - before) / (count * load.body) * GIGABYTE}


@contextmanager
def _clients(subject: Subject, load: Load, count: int) -> Iterator[list[Client]]:
    """Open connections, each of which has made a request: some proxies give it a thread until then."""
    heads = _heads(subject, replace(load, body=0))
    keys = subject.site.keys(subject.task.key)
    clients: list[Client] = []
    try:
        for number in range(count):
            tls = context(keys.client(number % load.identities), load.tls)
            clients.append(Client(subject.port, host_name(0), tls))
            clients[-1].ask(heads.next())
        yield clients
    finally:
        for client in clients:
            client.close()


def _connects(subject: Subject, load: Load, count: int) -> Outcome:
    keys = subject.site.keys(subject.task.key)
    hosts = [(host_name(index), _heads(subject, load, host=index)) for index in range(subject.task.hosts)]
    certificates = [keys.client(index) for index in range(min(load.identities, count))]
    return connect_many(subject.port, hosts, certificates, load.tls, count)


def _heads(subject: Subject, load: Load, *, host: int = 0, body: int | None = None) -> Heads:
    routes = subject.task.routes
    paths = [route_path(index, routes) + BODIES[load.body] for index in range(routes)]
    return Heads(host_name(host), paths, varying=load.varying, body=body)
