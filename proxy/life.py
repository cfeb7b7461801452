"""How a connection's life goes on and ends: what it keeps, in which order it lets go, and what is said of it.

``connection.Connection`` is the rest: requests in, responses out.
"""

from __future__ import annotations

import asyncio
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from proxy.accept.arrival import LINGER, Arrival
from proxy.accept.read import RequestReader
from proxy.accept.unsent import unsent
from proxy.decide.request.head import RequestHead
from proxy.decide.request.route import Host, Route
from proxy.decide.verdict import Pending, Reason, Refused
from proxy.forward.exchange import Exchange
from proxy.observe.fields import revocation_fields

if TYPE_CHECKING:
    from proxy.house import House
    from proxy.in_force import Grant, InForce


_NO_SENTENCE: Final = Refused(Reason.INTERNAL_ERROR, "no request was condemned")


class Life(asyncio.Protocol):
    """What a connection keeps, and its ends.

    ``until`` is the Unix time at which the verdict on the connection ends; a request that is ``_condemned`` may finish
    up to then. Ends: closed in good order (``_close``), cut (``_cut``), lost (``_let_go``). An exchange under way is
    cancelled and logged with each of them.
    """

    __slots__ = (
        "_address", "_body_in", "_bytes_out", "_closing", "_condemned", "_exchange", "_force", "_grant", "_head",
        "_held", "_house", "_keep", "_name", "_only_route", "_patience", "_paused", "_peer", "_reader", "_request_id",
        "_requests", "_route", "_seen_host", "_sentence", "_session", "_sni", "_started", "_transport", "_unsent",
        "_writable", "deadline", "host", "name", "peer_address", "until",
    )  # fmt: skip
    _reader: RequestReader

    def __init__(self, house: House, force: InForce, arrival: Arrival, name: str) -> None:
        handshake = arrival.handshake
        if handshake.host is None:
            raise RuntimeError("a handshake without a host")
        self.name = name
        self._name = name.encode()
        self.host: Host = handshake.host
        self.peer_address = arrival.address
        self._house = house
        self._force = force
        self._session = arrival.session
        self._transport = arrival.transport
        self._peer = handshake.peer
        self._sni = handshake.sni
        self._address = arrival.address[0].encode()
        self._only_route = self.host.only
        self._exchange: Exchange | None = None
        self._head: RequestHead | None = None
        self._route: Route | None = None
        self._grant: Grant | None = None
        self._seen_host = b""
        self._request_id = b""
        self._requests = 0
        self._body_in = self._bytes_out = self._unsent = 0
        self._started = 0.0
        self._keep = True
        self._writable = True
        self._paused = False
        self._closing = False
        self._condemned: Exchange | None = None
        self._held: Pending | None = None
        self._patience = 0.0
        self._sentence = _NO_SENTENCE
        self.until = inf
        self.deadline = house.clock + force.head_timeout

    # --- pauses

    def note_use(self, now: float) -> None:
        """Note at Unix time ``now`` that the client is there: its anchor is in use."""
        grant = self._grant
        if grant is not None and grant.use is not None:
            grant.use.at = now

    def pause_request(self) -> None:
        """Stop reading from the client."""
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()
            if self._exchange is not None:  # it is the app that has to do something now
                self.deadline = self._house.clock + self._force.response_timeout

    def resume_request(self) -> None:
        """Read on."""
        if self._paused and not self._reader.crowded and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
            if self._reader.in_body:
                self.deadline = self._house.clock + self._force.limits.body_timeout

    # --- ends

    def _half_close(self) -> bool:
        self._keep = False
        if self._exchange is not None and not self._reader.in_body:
            return True
        if self._exchange is not None:
            self._break("the client closed in the middle of a request's body")
        elif not self._closing:
            self._close()
        return False

    def _let_go(self, fault: Exception | None) -> None:
        """Let go of everything; where an exception of ours made the event loop cut the connection, say so."""
        try:
            if fault is not None and not isinstance(fault, OSError) and not self._closing:
                self._fail(fault)
            elif self._exchange is not None:
                self._give_up("the client closed before the answer was complete")
        finally:
            self._closing = True
            self._reader.stop()

    def broken(self, fault: Exception) -> None:
        """Cut the connection because of an exception that nobody foresaw."""
        try:
            self._fail(fault)
        finally:
            self._cut()

    def _fail(self, fault: Exception) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
        self._log_refusal(Refused(Reason.INTERNAL_ERROR, f"{type(fault).__name__}: {fault}"), None)

    def _close(self, *, unread: bool = False) -> None:
        """Close in good order; a client that is still sending is heard out for a while, so that it reads the answer."""
        if self._closing:
            return
        unread = unread or self._reader.in_body or bool(self._reader.buffer) or self._head is None
        self._closing = True
        self._reader.stop()
        self._transport.write(self._session.close())
        if unread and not self._session.closed_by_peer:
            self.resume_request()
            self.deadline = self._house.clock + LINGER
            if self._transport.can_write_eof():
                self._transport.write_eof()
        else:
            self.deadline = self._house.clock + self._force.limits.write_timeout
            self._transport.close()

    def _cut(self) -> None:
        """Break off, without close_notify: the client must not take what it has for complete."""
        self._closing = True
        self._reader.stop()
        self._transport.abort()

    def _break(self, detail: str) -> None:
        if self._exchange is not None:
            self._give_up(detail)
        self._cut()

    def _give_up(self, detail: str) -> None:
        """End an exchange whose client has gone."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
            self._log_refusal(Refused(Reason.CLIENT_ABORTED, detail), exchange.status or None)

    def _expire_write(self, timeout: float) -> None:
        """Give up on a client that took nothing in all that time; one that took something gets as much again."""
        left = unsent(self._transport)
        if left < self._unsent:
            self._unsent = left
            self.deadline = self._house.clock + timeout
        else:
            self._break(f"the client took nothing for {timeout:g} s")

    def drain(self) -> None:
        """Close now if no request is in flight, else after the one that is; who has just come gets an answer, too."""
        if self._exchange is None and self._held is None and not self._reader.in_head and self._requests:
            self._close()
        else:
            self._keep = False

    def cut(self) -> None:
        """Close, whatever is in flight."""
        self._break("the proxy stopped")

    # --- what is said of it

    def _log_refusal(self, refusal: Refused, status: int | None) -> None:
        who = self._peer.leaf.fingerprint if self._peer is not None else self.peer_address[0]
        path = self._route.path if self._route is not None else None
        same = (self.host.name, path, who)
        self._house.request_refused(refusal.reason, same, lambda: self._refusal_fields(refusal, status))

    def _refusal_fields(self, refusal: Refused, status: int | None) -> dict[str, Any]:
        return {
            "detail": refusal.detail,
            "depth": refusal.depth,
            **self._fields(status),
            "revocation": revocation_fields(refusal.revocation, self._house.wall),
        }

    def _fields(self, status: int | None) -> dict[str, Any]:
        """Return what a line about a request says."""
        head, route, peer = self._head, self._route, self._peer
        return {
            "conn": self.name,
            "peer": peer_text(self.peer_address),
            "request_id": self._request_id,
            "sni": self._sni,
            "host": self.host.name,
            "method": head.method if head is not None else None,
            "path": head.target if head is not None else None,
            "route": route.path if route is not None else None,
            "upstream": route.upstream if route is not None else None,
            "status": status,
            "bytes_in": self._body_in,
            "bytes_out": self._bytes_out,
            "ms": round((monotonic() - self._started) * 1000, 2),
            "generation": self._force.snapshot.generation,
            "client": None if peer is None else f"sha256:{peer.leaf.fingerprint}",
            "client_subject": None if peer is None else peer.leaf.subject,
        }


def peer_text(address: tuple[str, int]) -> str:
    """Write a peer's address with its port."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
