"""What is in force: one snapshot with everything that was made for it, swapped whole.

Memos, pools and counters belong to a snapshot, because their keys are its gates and routes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy.decide.bounded import put
from proxy.decide.peer.chain import Peer
from proxy.decide.peer.gate import Gate
from proxy.decide.peer.verdicts import Verdicts
from proxy.decide.request.admit import permit
from proxy.decide.request.route import Route
from proxy.decide.request.stamp import stamp
from proxy.decide.verdict import Admitted, Pending, Refused
from proxy.forward.pool import Pool, PoolLimits
from proxy.observe.counters import AnchorUse, RouteMetrics
from proxy.observe.metrics import Metrics
from proxy.snapshot.model import Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Grant:
    """A permit for one client on one route, and what forwarding its requests takes: made once, used for many.

    ``identity`` are the stamped header lines, ``until`` is the Unix time in seconds at which the permit ends.
    ``use`` is where to note that the client's anchor is used.
    """

    permit: Admitted
    route: Route
    identity: bytes
    pool: Pool
    counters: RouteMetrics
    until: float
    by_certificate: bool
    use: AnchorUse | None


class InForce:
    """A snapshot in force, with what was made for it; pools that it has in common with ``before`` go on.

    Where the snapshot is that of ``before``, only what clients were granted is made anew: a status has changed.

    ``counters`` are those of the routes, None where they are to be looked up. Times are in seconds.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        metrics: Metrics,
        loop: asyncio.AbstractEventLoop,
        before: InForce | None = None,
        counters: dict[Route, RouteMetrics] | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.limits = limits = snapshot.config.limits
        # Read for every request, and pydantic's attributes are slow to read.
        self.head_timeout = limits.head_timeout
        self.idle_timeout = limits.idle_timeout
        self.response_timeout = limits.upstream_response_timeout
        self.log_requests = snapshot.config.log.requests
        self.logs_all = self.log_requests == "all"
        self.logs_errors = self.log_requests == "errors"
        self.log_handshakes = snapshot.config.log.handshakes
        same = before is not None and before.snapshot is snapshot
        known = None if before is None else before.verdicts
        self.verdicts: Verdicts = known if known is not None and same else Verdicts(limits.cached_verdicts, known)
        self._metrics = metrics
        self._grants: dict[tuple[bytes, Route], Grant] = {}
        self._stamps: dict[tuple[bytes, Gate | None, tuple[str, ...]], tuple[Admitted, bytes]] = {}
        if before is not None and same:
            counters = before._counters  # noqa: SLF001
        elif counters is None:
            hosts = snapshot.hosts.hosts
            counters = {route: metrics.route(host.name, route.path) for host in hosts for route in host.routes}
        self._counters: dict[Route, RouteMetrics] = counters
        self.pools: dict[str, Pool] = {}
        for name, upstream in snapshot.upstreams.items():
            pool, wanted = None if before is None else before.pools.get(name), self._pool_limits(name)
            if pool is None or not pool.fits(upstream, wanted):
                pool = Pool(upstream, wanted, metrics.upstream(name), loop)
            self.pools[name] = pool

    def _pool_limits(self, name: str) -> PoolLimits:
        settings = self.snapshot.config.upstreams[name]
        return PoolLimits(
            settings.max_connections, settings.max_idle, self.limits.upstream_connect_timeout, settings.idle_timeout
        )

    def grant(self, route: Route, peer: Peer | None, now: float) -> Grant | Refused | Pending:
        """Judge a client for a route at Unix time ``now``, and make ready what its requests take."""
        verdict = permit(route, peer, self.verdicts, now)
        if not isinstance(verdict, Admitted):
            return verdict
        grant = self.made(verdict, route, peer)
        if grant.use is not None:
            grant.use.at = now
        return grant

    def made(self, verdict: Admitted, route: Route, peer: Peer | None) -> Grant:
        """Make ready what the requests of an admitted client take."""
        who = b"" if peer is None else peer.key
        key = (who, route)
        grant = self._grants.get(key)
        if grant is None or grant.permit is not verdict:
            grant = Grant(
                permit=verdict, route=route, identity=self._stamped(verdict, route, who),
                pool=self.pools[route.upstream], counters=self._counters[route], until=verdict.until,
                by_certificate=verdict.identity is not None,
                use=None if verdict.identity is None else self._metrics.anchor_use(verdict.identity),
            )  # fmt: skip
            put(self._grants, key, grant, self.limits.cached_verdicts)
        return grant

    def _stamped(self, verdict: Admitted, route: Route, who: bytes) -> bytes:
        """Return the stamped header lines, which the routes of a gate share: thousands of them know the same client."""
        key = (who, route.gate, route.families)
        known = self._stamps.get(key)
        if known is None or known[0] is not verdict:
            known = (verdict, stamp(verdict.identity, route.families))
            put(self._stamps, key, known, self.limits.cached_verdicts)
        return known[1]

    def counters(self, route: Route) -> RouteMetrics:
        """Return the counters of a route."""
        return self._counters[route]
