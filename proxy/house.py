"""The house: what all connections of a process share, and what they tell the outside."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from time import monotonic
from typing import Any, Final, TypeVar

from proxy.accept.acknowledge import Acknowledger
from proxy.accept.admission import Admission, AdmissionLimits
from proxy.accept.arrival import Arrival
from proxy.accept.handshake import Handshake
from proxy.accept.peers import Facts
from proxy.accept.tls import ListenerContext
from proxy.census import Census
from proxy.connection import Connection
from proxy.control.planes import ControlPlane, Settled
from proxy.decide.facts import Certificate
from proxy.decide.peer.answers import Answers
from proxy.decide.verdict import Admitted, Pending, Reason, Refused, Verdict
from proxy.forward.pool import Pool
from proxy.handshake_lines import HandshakeLines
from proxy.in_force import InForce
from proxy.observe.faults import caught_by_loop, report_fault
from proxy.observe.log import Log
from proxy.observe.metrics import Description, Metrics
from proxy.snapshot.assemble import Steps, at_once
from proxy.snapshot.model import Snapshot
from proxy.snapshot.tls import listener_context
from proxy.sweep import Sweep
from proxy.tenure import Tenure
from proxy.waiting import Waiter, Waiting

TICK: Final = 0.25
"""Seconds between looks at the clock: the precision of every time-out, and of ``now`` in every verdict."""


_Verdict = TypeVar("_Verdict", Admitted, Refused, Admitted | Refused)


class House:
    """What every connection of the process works with. Implements ``accept.arrival.Door``.

    ``answers`` is the table that the snapshot's bundles look into; ``control`` is asked for what is missing there, and
    says by ``settle`` how that ended. Without it, nobody waits.
    """

    def __init__(
        self, snapshot: Snapshot, log: Log, metrics: Metrics, loop: asyncio.AbstractEventLoop,
        answers: Answers | None = None,
    ) -> None:  # fmt: skip
        self.log = log
        self.lines = HandshakeLines(log)
        self.metrics = metrics
        self.loop = loop
        self.in_force = InForce(snapshot, metrics, loop)
        self.admission = Admission(_admission_limits(snapshot))
        self.handshake_timeout = snapshot.config.limits.handshake_timeout
        self.acknowledger = Acknowledger(loop)
        self.census = Census()
        self.sweep = Sweep(loop, self._judge_again)
        self.answers = Answers() if answers is None else answers
        self.control: ControlPlane | None = None
        self.waiting = Waiting()
        self.listener = ListenerContext(listener_context())
        self.facts = Facts()
        self.draining = False
        self.clock = monotonic()
        self.wall = time.time()
        self.connections: set[Connection] = set()
        self._arrivals: set[Arrival] = set()
        self._lingering = 0
        self._retired: set[Pool] = set()
        self._numbers = count(1)
        self._prefix = secrets.token_hex(5)
        self._gone = asyncio.Event()

    # --- time

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return monotonic()

    def tick(self) -> None:
        """Look at the clock, and at every deadline."""
        now = self.clock = monotonic()
        self.wall = time.time()
        for arrival in tuple(self._arrivals):
            try:
                arrival.tick(now)
            except Exception as fault:  # noqa: BLE001 - others' deadlines come after this one
                self.fault("a handshake's deadline", fault)
                arrival.transport.abort()
        for connection in [c for c in self.connections if c.deadline <= now]:
            try:
                connection.expire()
            except Exception as fault:  # noqa: BLE001
                self.fault("a connection's deadline", fault)
                connection.broken(fault)
        self.sweep.tick(self.wall)
        self.census.tick(self.connections, self.wall)
        for pool in self.in_force.pools.values():
            pool.tick(now)
        self._retired = {pool for pool in self._retired if not pool.quiet}
        self.log.tick(now)

    # --- change

    def publish(self, snapshot: Snapshot) -> None:
        """Put a snapshot in force, in one go."""
        at_once(self.staging(snapshot))()

    def staging(self, snapshot: Snapshot) -> Steps[Callable[[], None]]:
        """Make ready what goes with a snapshot, in steps; what they come to puts it in force."""
        description = yield from self.metrics.description(snapshot)
        return partial(self._swap, description)

    def _swap(self, description: Description) -> None:
        """Put a snapshot in force, and judge every open connection by it.

        One assignment is the change. Counters go on; so do the pools of upstreams that stay as they are, and the
        requests under way in those that do not.
        """
        before, snapshot = self.in_force, description.snapshot
        self.in_force = force = InForce(snapshot, self.metrics, self.loop, before, description.counters)
        self.admission.limits = _admission_limits(snapshot)
        self.handshake_timeout = snapshot.config.limits.handshake_timeout
        self.metrics.show(description)
        for pool in {*before.pools.values()}.difference(force.pools.values()):
            pool.retire()
            self._retired.add(pool)
        self.sweep.begin(self.connections)

    def _judge_again(self, waiter: Tenure | Waiter) -> None:
        try:
            waiter.judge_again()
        except Exception as fault:  # noqa: BLE001 - the others are judged all the same
            self.fault("judging a connection again", fault)
            if isinstance(waiter, Tenure):
                waiter.broken(fault)
            elif isinstance(waiter, Arrival):
                waiter.transport.abort()

    def withdrawn(self, refusal: Refused, leaf: Certificate | None, **fields: object) -> None:
        """Count and log an open connection that is no longer admitted."""
        self.metrics.withdrawn[refusal.reason] += 1
        if self.in_force.log_handshakes != "off":
            self.log.write(
                "connection.withdrawn", level="warning", reason=refusal.reason.value, detail=refusal.detail,
                depth=refusal.depth, generation=self.in_force.snapshot.generation, **fields,
                certificate=self.lines.certificate(leaf, self.wall),
            )  # fmt: skip

    # --- accept.arrival.Door

    def handshake(self) -> Handshake:
        """Begin a handshake under the snapshot in force."""
        force = self.in_force
        snapshot = force.snapshot
        return Handshake(snapshot.hosts, snapshot.contexts, force.verdicts, self.facts, self._wall)

    def _wall(self) -> float:
        return self.wall

    def judge(self, arrival: Arrival) -> Verdict:
        """Judge a client whose handshake is complete by what is in force now."""
        force = self.in_force
        verdict = arrival.handshake.judge_again(force.snapshot.hosts, force.verdicts)
        if isinstance(verdict, Pending):
            self.acknowledger.add(arrival.transport, arrival)
            return self.wait(arrival, verdict)
        return self.refresh(verdict)

    # --- waiting

    def wait(self, waiter: Waiter, pending: Pending) -> Pending | Refused:
        """Ask for what a verdict needs, and judge ``waiter`` again when it is there; where nobody can be, refuse."""
        if self.control is None:
            return pending.refuse()
        self.waiting.add(waiter, [need.key for need in pending.needs])
        self.metrics.verdicts_awaited += 1
        self.control.ask(pending.needs)
        return pending

    def refresh(self, verdict: _Verdict) -> _Verdict:
        """Ask for what a verdict rests on and grows old; nobody waits for it."""
        if verdict.refresh and self.control is not None:
            self.control.ask(verdict.refresh)
        return verdict

    def settle(self, outcomes: Mapping[bytes, Settled]) -> None:
        """Take how needs ended: wake who waits for them, and judge all again where a known status has changed."""
        changed = False
        for key, settled in outcomes.items():
            if self.answers.put(key, settled.outcome):
                self.in_force.verdicts.forget(settled.fingerprint)
                changed = True
        if changed:
            self.in_force = InForce(self.in_force.snapshot, self.metrics, self.loop, self.in_force)
            self.sweep.begin(self.connections)
        for waiter in self.waiting.take(outcomes):
            self._judge_again(waiter)

    def arrived(self, arrival: Arrival) -> None:
        """Count a new connection."""
        self._arrivals.add(arrival)
        self.metrics.connections_total += 1
        self._count()

    def left(self, arrival: Arrival) -> None:
        """Count a connection that is gone, or has got through its handshake."""
        self._arrivals.discard(arrival)
        self.waiting.discard(arrival)
        if arrival.refused:
            self._lingering -= 1
        self._count()

    def _count(self) -> None:
        """Bring the gauges, and what admission goes by, up to date.

        Who was refused and lingers is a connection, but no handshake in progress: it costs nothing any more.
        """
        arrivals = len(self._arrivals)
        self.metrics.handshakes_in_progress = self.admission.handshakes = arrivals - self._lingering
        self.metrics.connections_open = self.admission.connections = arrivals + len(self.connections)
        if self.draining:
            self._gone.set()

    def refused(self, arrival: Arrival, refusal: Refused) -> None:
        """Count and log a refused handshake, with the certificate that was refused."""
        self._lingering += 1
        self._count()
        handshake = arrival.handshake
        host = handshake.host.name if handshake.host is not None else ""
        self.metrics.handshake_refused(refusal.reason, host)
        if self.in_force.log_handshakes != "off":
            self.lines.refused(arrival, refusal, self.next_id(), self.in_force.snapshot.generation, self.wall)

    def established(self, arrival: Arrival) -> None:
        """Hand the connection over to HTTP; count and log the handshake."""
        connection = Connection(self, self.in_force, arrival, self.next_id())
        self.connections.add(connection)
        verdict = arrival.handshake.verdict
        if verdict is None:
            raise RuntimeError("a connection without a verdict")
        self.sweep.watch(connection, verdict.until)
        arrival.transport.set_protocol(connection)  # from here on the connection itself hears of its end
        self._count()
        handshake = arrival.handshake
        host = connection.host.name
        self.metrics.handshake_accepted(host, monotonic() - arrival.started)
        if handshake.leaf is not None:
            self.metrics.client_certificate(handshake.leaf)
            self.lines.expiring(handshake.leaf, host, self.wall)
        if verdict.identity is not None:
            self.metrics.anchor_use(verdict.identity).at = self.wall
        if self.in_force.log_handshakes == "all":
            generation = self.in_force.snapshot.generation
            self.lines.accepted(arrival, verdict, connection.name, generation, self.wall)
        self.acknowledger.add(arrival.transport, connection)
        connection.begin(arrival.early)
        if self.draining:
            connection.drain()

    # --- connections

    def next_id(self) -> str:
        """Return an identifier that no other connection of this process or its neighbours has."""
        return f"{self._prefix}-{next(self._numbers):x}"

    def closed(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self.connections.discard(connection)
        self.sweep.forget(connection)
        self.waiting.discard(connection)
        self._count()

    def request_refused(self, reason: Reason, same: tuple[object, ...], fields: Callable[[], dict[str, Any]]) -> None:
        """Count and log a refused request; ``fields`` is asked only where the log wants to know."""
        self.metrics.request_refused(reason)
        if self.in_force.log_requests != "off":
            self.log.refuse("request.refused", same=("request", reason, *same), reason=reason.value, **fields())

    def fault(self, where: str, fault: BaseException) -> None:
        """Count and log an exception that nobody foresaw; whoever met it closes what it happened to."""
        report_fault(self.log, self.metrics, where, fault)

    def loop_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what the event loop caught, and cut the connection that it happened to."""
        self.fault(*caught_by_loop(context))
        transport = context.get("transport")
        if isinstance(transport, asyncio.Transport):
            transport.abort()

    def drain(self) -> None:
        """Let requests in flight finish, and close every connection that has none."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()

    def cut(self) -> int:
        """Close whatever is still open; return how many connections that were."""
        left = len(self.connections) + len(self._arrivals)
        for connection in tuple(self.connections):
            connection.cut()
        for arrival in tuple(self._arrivals):
            arrival.transport.abort()
        return left

    async def emptied(self) -> None:
        """Wait until the last connection is gone."""
        while self.connections or self._arrivals:
            self._gone.clear()
            await self._gone.wait()

    async def close(self) -> None:
        """Close the pools."""
        for pool in (*self.in_force.pools.values(), *self._retired):
            await pool.close()


def _admission_limits(snapshot: Snapshot) -> AdmissionLimits:
    limits = snapshot.config.limits
    return AdmissionLimits(limits.connections, limits.handshakes, limits.handshake_rate)
