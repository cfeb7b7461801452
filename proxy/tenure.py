"""Tenure: whether a connection may stay, by the policy in force now and from what its handshake showed.

It is asked of every connection after a change (``sweep``) and when the verdict on it ends, and with each request that
is there before the sweep is.

| under way  | no longer admitted                                               | still admitted                     |
|------------|------------------------------------------------------------------|------------------------------------|
| no request | closed in good order, at once                                    | it belongs to what is in force now |
| a request  | as ``on_withdrawal`` says: finished in a bounded time, or ended  | it goes on, and the next belongs   |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from proxy.decide.request.admit import Tenancy, admit_again, find_route, permit
from proxy.decide.request.head import RequestHead
from proxy.decide.request.route import Host, OnWithdrawal, Route
from proxy.decide.verdict import Admitted, Pending, Reason, Refused
from proxy.forward.exchange import Exchange
from proxy.life import Life, peer_text
from proxy.observe.fields import revocation_fields
from proxy.waiting import WAIT

if TYPE_CHECKING:
    from proxy.in_force import InForce


TRY_AGAIN: Final = 1.0
"""Seconds until a request under way is asked about again whose verdict nobody answers and the settings let pass."""


class Action(StrEnum):
    """What became of a connection that is no longer admitted: one word for the log."""

    CLOSED = "closed"
    FINISHING = "finishing"
    ABORTED = "aborted"
    REFUSED = "refused"


class Tenure(Life, ABC):
    """What a connection does when it is judged again."""

    __slots__ = ()

    def judge_again(self) -> None:
        """Judge the connection by what is in force now; where it is not admitted any more, end it."""
        exchange = self._exchange
        if self._closing:
            return
        if exchange is not None and exchange is self._condemned:
            if self._house.wall >= self.until:
                self._abort(exchange, self._sentence)
            return
        force = self._house.in_force
        tenancy = self._ask(force)
        if isinstance(tenancy, Refused):
            self._keep = False
            self._withdraw(tenancy, force)
        elif self._held is not None:
            self._go_on()
        elif exchange is None or self._head is None:
            self._move(force, tenancy.host, self._end_of(tenancy))
        else:
            self._judge_request(self._head, tenancy, force)

    def _ask(self, force: InForce) -> Tenancy | Refused:
        """Ask for the verdict; one that stays pending for too long is what the settings say of it."""
        house = self._house
        tenancy = admit_again(self._sni, self._peer, force.snapshot.hosts, force.verdicts, house.wall)
        if isinstance(tenancy, Refused):
            return tenancy
        verdict = tenancy.verdict
        if not isinstance(verdict, Pending):
            self._patience = 0.0
            house.refresh(verdict)
            return tenancy
        if self._patience and house.wall >= self._patience:
            self._patience = 0.0
            end = verdict.otherwise
            return end if isinstance(end, Refused) else Tenancy(tenancy.host, end)
        self._patience = self._patience or house.wall + WAIT
        awaited = house.wait(self, verdict)
        return awaited if isinstance(awaited, Refused) else tenancy

    def _end_of(self, tenancy: Tenancy) -> float:
        return self._patience if isinstance(tenancy.verdict, Pending) else tenancy.verdict.until

    def _move(self, force: InForce, host: Host, until: float) -> None:
        """Belong to what is in force from now on; nothing that was found out before is taken for granted."""
        self._force = force
        self.host = host
        self._only_route = host.only
        self._route = self._grant = None
        self._seen_host = b""
        self._house.sweep.watch(self, until)

    def _renew(self) -> Refused | None:
        """Belong to what is in force before a request is judged, or return why the connection may not stay."""
        force = self._house.in_force
        tenancy = self._ask(force)
        if isinstance(tenancy, Refused):
            self._keep = False
            self._report(tenancy, Action.REFUSED)
            return tenancy
        self._move(force, tenancy.host, self._end_of(tenancy))
        return None

    def _judge_request(self, head: RequestHead, tenancy: Tenancy, force: InForce) -> None:
        """Judge the request under way, which its route may admit no longer though the host does."""
        route = _route_of(head, tenancy.host)
        verdict = route if isinstance(route, Refused) else permit(route, self._peer, force.verdicts, self._house.wall)
        if isinstance(verdict, Refused):
            self._withdraw(verdict, force)
        elif isinstance(verdict, Admitted):
            self._house.sweep.watch(self, min(self._end_of(tenancy), verdict.until))
        else:
            self._await(verdict, force)

    def _await(self, verdict: Pending, force: InForce) -> None:
        """Let the request go on while its route's verdict is awaited, for as long as a verdict is waited for."""
        now = self._house.wall
        if self._patience and now >= self._patience and isinstance(verdict.otherwise, Refused):
            self._withdraw(verdict.otherwise, force)
            return
        self._patience = self._patience or now + WAIT
        awaited = self._house.wait(self, verdict)
        if isinstance(awaited, Refused):
            self._withdraw(awaited, force)
        else:
            self._house.sweep.watch(self, max(self._patience, now + TRY_AGAIN))

    # --- no longer admitted

    def _withdraw(self, refusal: Refused, force: InForce) -> None:
        exchange = self._exchange
        if self._held is not None:
            self._held = None
            self._report(refusal, Action.REFUSED)
            self._answer(refusal)
        elif exchange is None:
            self._report(refusal, Action.CLOSED)
            self._close()
        elif self._may_finish(refusal, force):
            self._report(refusal, Action.FINISHING)
            self._condemned, self._sentence = exchange, refusal
            self._house.sweep.watch(self, self._house.wall + force.limits.withdrawal_timeout)
        else:
            self._report(refusal, Action.ABORTED)
            self._abort(exchange, refusal)

    def _may_finish(self, refusal: Refused, force: InForce) -> bool:
        """Ask the request's route as it is now; the one that it came by, where there is none any more."""
        host, head = force.snapshot.hosts.find(self._sni), self._head
        found = self._route if host is None or head is None else _route_of(head, host)
        route = found if isinstance(found, Route) else self._route
        wish = None if route is None else route.on_withdrawal
        return refusal.reason is not Reason.REVOKED if wish is None else wish is OnWithdrawal.FINISH

    def _abort(self, exchange: Exchange, refusal: Refused) -> None:
        """End a request: by an answer where none has begun, else by a cut."""
        self._exchange = self._condemned = None
        exchange.cancel()
        if exchange.status:
            self._log_refusal(refusal, exchange.status)
            self._cut()
        else:
            self._answer(refusal)

    @abstractmethod
    def _go_on(self) -> None:
        """Judge the request that waits, if there is one."""

    @abstractmethod
    def _answer(self, refusal: Refused) -> None:
        """Answer the request under way with a refusal."""

    def _report(self, refusal: Refused, action: Action) -> None:
        leaf = self._peer.leaf if self._peer is not None else None
        self._house.withdrawn(
            refusal, leaf, conn=self.name, peer=peer_text(self.peer_address), sni=self._sni, host=self.host.name,
            action=action.value, requests=self._requests,
            revocation=revocation_fields(refusal.revocation, self._house.wall),
        )  # fmt: skip


def _route_of(head: RequestHead, host: Host) -> Route | Refused:
    return host.only or find_route(head, host)
