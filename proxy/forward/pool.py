"""The pool: kept-alive links to the servers of one upstream, taken in turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from proxy.decide.verdict import Reason
from proxy.forward.link import Link
from proxy.snapshot.model import Address, Upstream

if TYPE_CHECKING:
    from proxy.forward.exchange import Exchange

SHUN: Final = 5.0
"""Seconds for which a server that could not be reached is tried last: long enough that requests do not wait for it one
after the other, short enough that its return is soon noticed."""


class Counters(Protocol):
    """Where the pool counts; the metrics implement it."""

    connections_open: int
    connects_total: int
    connect_failures_total: int
    reused_total: int
    retries_total: int


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of a pool: links per server in all and idle; seconds to connect, and to keep an idle link."""

    max_connections: int
    max_idle: int
    connect_timeout: float
    idle_timeout: float


class Server:
    """One server: its idle links, the last used first, because that one is the least likely to be closed."""

    __slots__ = ("_limits", "_now", "_open", "_retired", "_shunned_until", "address", "counters", "idle")

    def __init__(self, address: Address, limits: PoolLimits, counters: Counters) -> None:
        self.address = address
        self.counters = counters
        self._limits = limits
        self.idle: list[Link] = []
        self._open: set[Link] = set()
        self._retired = False
        self._now = 0.0
        self._shunned_until = 0.0

    def keep(self, link: Link) -> None:
        """Take an idle link back."""
        if len(self.idle) < self._limits.max_idle and not self._retired:
            link.idle_since = self._now
            self.idle.append(link)
        else:
            link.close()

    def add(self, link: Link) -> None:
        """Count a link that is being connected."""
        self._open.add(link)
        self.counters.connections_open += 1

    def remove(self, link: Link) -> None:
        """Forget a link that is closed; harmless where it was forgotten before."""
        if link in self._open:
            self._open.discard(link)
            self.counters.connections_open -= 1
            if link in self.idle:
                self.idle.remove(link)

    @property
    def full(self) -> bool:
        """Whether no further link may be opened."""
        return len(self._open) >= self._limits.max_connections

    @property
    def shunned(self) -> bool:
        """Whether it could not be reached a moment ago."""
        return self._now < self._shunned_until

    def reached(self) -> None:
        """Note that it answers."""
        self._shunned_until = 0.0

    def missed(self) -> None:
        """Note that it does not."""
        self._shunned_until = self._now + SHUN

    def tick(self, now: float) -> None:
        """Close links that have been idle for too long; ``now`` is in monotonic seconds."""
        self._now = now
        while self.idle and now - self.idle[0].idle_since > self._limits.idle_timeout:
            self.idle.pop(0).close()

    @property
    def quiet(self) -> bool:
        """Whether no link is open."""
        return not self._open

    def close(self) -> None:
        """Close the idle links, and keep none from now on; those in use close when their exchange is over."""
        self._retired = True
        while self.idle:
            self.idle.pop().close()


class Pool:
    """The servers of one upstream, in turn."""

    def __init__(
        self, upstream: Upstream, limits: PoolLimits, counters: Counters, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.name = upstream.name
        self._upstream = upstream
        self._limits = limits
        self._loop = loop
        self._counters = counters
        self._servers = [Server(address, limits, counters) for address in upstream.servers]
        self._turn = 0
        self._dials: set[asyncio.Task[None]] = set()

    def take(self) -> Link | None:
        """Return an idle link to the server whose turn it is; None where that one needs a new link.

        A server that can take none, or could not be reached a moment ago, passes its turn on.
        """
        turn, servers = self._turn, self._servers
        count = len(servers)
        for _ in servers:
            turn = (turn + 1) % count
            server = servers[turn]
            if server.idle:
                self._turn = turn
                self._counters.reused_total += 1
                return server.idle.pop()
            if not (server.full or server.shunned):
                break
        self._turn = turn
        return None

    def connect(self, exchange: Exchange) -> None:
        """Open a link for ``exchange``, which hears of it by ``connected`` or ``fail``."""
        task = self._loop.create_task(self._dial(exchange, self._turn))
        self._dials.add(task)
        task.add_done_callback(self._dialled)

    def _dialled(self, task: asyncio.Task[None]) -> None:
        self._dials.discard(task)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            self._loop.call_exception_handler({"message": f"connecting to upstream {self.name}", "exception": fault})

    def fits(self, upstream: Upstream, limits: PoolLimits) -> bool:
        """Tell whether this is a pool as ``upstream`` and ``limits`` ask for one."""
        return limits == self._limits and (upstream.name, upstream.servers) == (self.name, self._upstream.servers)

    def retire(self) -> None:
        """Keep no link from now on; exchanges under way go on, and may still connect."""
        for server in self._servers:
            server.close()

    @property
    def quiet(self) -> bool:
        """Whether no link is open and none is being opened."""
        return not self._dials and all(server.quiet for server in self._servers)

    def count_retry(self) -> None:
        """Count a request that is sent again."""
        self._counters.retries_total += 1

    def tick(self, now: float) -> None:
        """Close idle links whose time is over."""
        for server in self._servers:
            server.tick(now)

    async def close(self) -> None:
        """Close idle links and end attempts to connect."""
        for task in tuple(self._dials):
            task.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        self.retire()

    async def _dial(self, exchange: Exchange, turn: int) -> None:
        """Open a link for an exchange, or end it."""
        try:
            await self._try(exchange, self._in_turn(turn))
        except Exception as fault:
            exchange.fail(Reason.INTERNAL_ERROR, f"{type(fault).__name__}: {fault}")
            raise

    def _in_turn(self, turn: int) -> list[Server]:
        """Return the servers, first the one whose ``turn`` it was when the request asked; shunned ones come last."""
        start = turn % len(self._servers)
        return sorted(self._servers[start:] + self._servers[:start], key=lambda server: server.shunned)

    async def _try(self, exchange: Exchange, servers: list[Server]) -> None:
        faults: list[str] = []
        timed_out = False
        for server in servers:
            if server.full:
                faults.append(f"{server.address}: all {self._limits.max_connections} connections are in use")
                continue
            link = Link(server)
            server.add(link)
            self._counters.connects_total += 1
            try:
                async with asyncio.timeout(self._limits.connect_timeout):
                    await self._open(server.address, link)
            except OSError as fault:  # TimeoutError is one
                server.remove(link)
                server.missed()
                self._counters.connect_failures_total += 1
                timed_out = timed_out or isinstance(fault, TimeoutError)
                faults.append(f"{server.address}: {_words(fault, self._limits.connect_timeout)}")
                continue
            except BaseException:
                server.remove(link)
                raise
            server.reached()
            exchange.connected(link)
            return
        exchange.fail(self._reason(timed_out=timed_out), "; ".join(faults))

    def _reason(self, *, timed_out: bool) -> Reason:
        if all(server.full for server in self._servers):
            return Reason.UPSTREAM_BUSY
        return Reason.UPSTREAM_TIMEOUT if timed_out else Reason.UPSTREAM_UNAVAILABLE

    async def _open(self, address: Address, link: Link) -> None:
        if address.path is not None:
            await self._loop.create_unix_connection(lambda: link, address.path)
        else:
            await self._loop.create_connection(lambda: link, address.host, address.port)


def _words(fault: OSError, timeout: float) -> str:
    if isinstance(fault, TimeoutError):
        return f"no connection within {timeout:g} s"
    return fault.strerror or str(fault)
