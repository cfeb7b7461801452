"""Loops over open connections: closed (a new request as soon as one is answered) and paced (at a fixed rate)."""

from __future__ import annotations

import gc
import select
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bench.load.client import AnswerError, Client
from bench.load.heads import Heads

IN_FLIGHT: Final = 32
"""Requests under way at a time in the closed loop."""

SILENCE: Final = 30.0
"""Seconds without any answer after which a run is given up."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a loop saw: ``elapsed`` and the client's own CPU (``busy``) in seconds, latencies in seconds."""

    count: int
    elapsed: float
    busy: float
    latencies: Sequence[float] = ()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep our own collector out of the figures."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def closed(clients: Sequence[Client], heads: Heads, count: int) -> Outcome:
    """Send ``count`` requests over all connections in turn, IN_FLIGHT at a time."""
    with _quiet(), select.epoll() as poller:
        by_fd = _register(poller, clients)
        idle = deque(clients)
        before, start = time.process_time(), time.perf_counter()
        for _ in range(min(IN_FLIGHT, len(clients), count)):
            idle.popleft().send(heads.next())
        left = count - min(IN_FLIGHT, len(clients), count)
        done = 0
        while done < count:
            for fd, _ in _events(poller):
                client = by_fd[fd]
                if client.receive():
                    done += 1
                    idle.append(client)
                    if left:
                        left -= 1
                        idle.popleft().send(heads.next())
        return Outcome(count=count, elapsed=time.perf_counter() - start, busy=time.process_time() - before)


def _register(poller: select.epoll, clients: Sequence[Client]) -> dict[int, Client]:
    for client in clients:
        client.nonblocking()
        poller.register(client.fd, select.EPOLLIN)
    return {client.fd: client for client in clients}


def _events(poller: select.epoll) -> list[tuple[int, int]]:
    events = poller.poll(SILENCE)
    if not events:
        raise AnswerError(f"no answer for {SILENCE:g} s")
    return events


def paced(clients: Sequence[Client], heads: Heads, rate: float, seconds: float) -> Outcome:
    """Send ``rate`` requests a second, evenly spaced, whatever the answers do.

    Latency counts from the moment a request was *due*, not from when a connection was free for it, so that a pause of
    the proxy is seen by every request that fell into it (no coordinated omission).
    """
    count = max(int(rate * seconds), IN_FLIGHT)
    latencies = array("d")
    with _quiet(), select.epoll() as poller:
        by_fd = _register(poller, clients)
        idle = deque(clients)
        interval = 1 / rate
        before, start = time.process_time(), time.perf_counter()
        sent = 0
        while len(latencies) < count:
            due = start + sent * interval
            now = time.perf_counter()
            while sent < count and idle and due <= now:
                client = idle.popleft()
                client.due = due
                client.send(heads.next())
                sent += 1
                due = start + sent * interval
            for fd, _ in _wait(poller, due - time.perf_counter() if sent < count and idle else SILENCE):
                client = by_fd[fd]
                if client.receive():
                    latencies.append(time.perf_counter() - client.due)
                    idle.append(client)
        elapsed = time.perf_counter() - start
        return Outcome(count=count, elapsed=elapsed, busy=time.process_time() - before, latencies=latencies)


def _wait(poller: select.epoll, span: float) -> list[tuple[int, int]]:
    """Wait for events at most ``span`` seconds; epoll alone rounds up to milliseconds, select() does not."""
    if span >= SILENCE:
        return _events(poller)
    if span > 0:
        select.select([poller.fileno()], [], [], span)
    return poller.poll(0)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the sorted values lie (nearest rank)."""
    return values[min(len(values) - 1, int(share * len(values)))]
