"""A connection's life; start reading here.

 1. admit      accept/admission.py, accept/arrival.py   limits, before a handshake costs anything
 2. handshake  accept/tls.py, accept/handshake.py       SNI picks the host's context; TLS proves the client's key
 3. chain      decide/peer/chain.py                     the leaf leads to an anchor of a bundle
 4. policy     decide/peer/policy/                      names, issuers, pins, keys, lifetimes
 5. head       accept/read.py, decide/request/head.py   a request is read strictly, or refused
 6. route      decide/request/route.py, admit.py        host and path pick the route; the client is judged for it
 7. stamp      decide/request/stamp.py, outgoing.py     forged identity goes, the verified one is set
 8. forward    forward/exchange.py, link.py, pool.py    to the app and back, with back-pressure both ways
 9. observe    observe/log.py, metrics.py               one line and a few counters

``Connection`` is steps 5 to 9 of one client; how it is judged again is in tenure.py, and how it ends in life.py. It is
driven by callbacks: nothing here waits, and nothing is created per request but the values themselves.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from proxy.accept.arrival import Arrival
from proxy.accept.lent import write_large
from proxy.accept.read import RequestReader
from proxy.accept.tls import BULKY, TlsError
from proxy.accept.unsent import unsent
from proxy.decide.request.admit import check_host, find_route
from proxy.decide.request.answer import CLOSING, answer, status_of
from proxy.decide.request.chunked import LAST_CHUNK, encode_chunk
from proxy.decide.request.head import RequestHead
from proxy.decide.request.outgoing import render
from proxy.decide.request.route import Route
from proxy.decide.verdict import Pending, Reason, Refused
from proxy.forward.exchange import Exchange
from proxy.in_force import Grant
from proxy.tenure import Tenure
from proxy.waiting import WAIT

if TYPE_CHECKING:
    from proxy.house import House
    from proxy.in_force import InForce

WRITE_BUFFER: Final = 256 * 1024
"""Octets on their way to a slow client before the app is paused: one read of the event loop."""

MAX_UNSENT: Final = 4 * WRITE_BUFFER
"""Octets on their way to a client that makes TLS answer (key updates, renegotiation) and does not read the answers."""

_SERVER_ERROR: Final = 500
_monotonic: Final = monotonic  # compiled, a constant is found faster than an import


class Connection(Tenure):
    """One client after its handshake: requests in, responses out, in order.

    States: between requests (``_exchange`` is None), in an exchange, lingering (``_closing`` after the last word was
    written), gone. ``deadline`` is the monotonic time at which ``expire`` is due.
    """

    __slots__ = ()

    def __init__(self, house: House, force: InForce, arrival: Arrival, name: str) -> None:
        super().__init__(house, force, arrival, name)
        self._reader = RequestReader(self, force.limits.head, force.limits.fields)

    def begin(self, early: bytes) -> None:
        """Take what came along with the last message of the handshake, and ``early``, what came before the verdict."""
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._session.mark_bulky()  # the handshake's flights were
        self.data_received(early)
        if early and not self._paused:
            self._transport.resume_reading()  # which stops where too much comes before the verdict
        self._session.rest_buffers()
        self._session.forget_chains()

    def is_silent(self) -> bool:
        """Tell whether nothing of a request has come yet."""
        return not self._requests and not self._reader.buffer

    # --- the event loop: octets in

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; while lingering, nobody listens."""
        if self._closing:
            return
        session, reader = self._session, self._reader
        try:
            plain = session.read(data)
        except TlsError as error:
            self._break(f"TLS failed: {error}")
            return
        if plain:
            begins = not reader.buffer
            reader.feed(plain)
            if reader.buffer:
                self._mind_rest(begins=begins)
        else:
            answer_ = session.pending()  # TLS has answers of its own, such as no to a renegotiation
            if answer_:
                self._transport.write(answer_)
                if self._transport.get_write_buffer_size() > MAX_UNSENT:
                    self._break("the client makes TLS answer and reads no answers")
        if session.closed_by_peer:
            self._half_close()

    def _mind_rest(self, *, begins: bool) -> None:
        """Bound what waits to be read: the time for a head counts from its first octet."""
        if begins and self._exchange is None and self._reader.in_head:
            self.deadline = self._house.clock + self._force.head_timeout
        if self._reader.crowded:
            self.pause_request()

    def eof_received(self) -> bool:
        """Keep the way back open while a complete request waits for its answer."""
        return self._half_close()

    def connection_lost(self, fault: Exception | None) -> None:
        """Let go of everything, and tell the house."""
        try:
            self._let_go(fault)
        finally:
            self._reader.leave()
            self._house.closed(self)

    def pause_writing(self) -> None:
        """Stop reading the response: the client is slower than the app."""
        self._writable = False
        self._unsent = unsent(self._transport)
        self.deadline = self._house.clock + self._force.limits.write_timeout
        if self._exchange is not None:
            self._exchange.pause_response()

    def resume_writing(self) -> None:
        """Read the response on, or the next request."""
        self._writable = True
        self.deadline = self._house.clock + self._force.response_timeout
        if self._exchange is not None:
            self._exchange.resume_response()
        elif not self._closing:
            self._rest()

    # --- accept.read.Requests: requests in

    def request_head(self, head: RequestHead) -> None:
        """Judge a request, and forward it or answer for the app."""
        self._head = head
        self._body_in = self._bytes_out = 0
        self._started = _monotonic()
        self._requests += 1
        self._request_id = b""
        grant = self._judge(head)
        if isinstance(grant, Grant):  # asked first, as it is the usual, and compiled
            self._forward(head, grant)
        elif isinstance(grant, Pending):
            self._hold(grant)
        else:
            self._answer(grant)

    def _hold(self, pending: Pending) -> None:
        """Let a request wait for its verdict; neither it nor what follows it is forwarded."""
        awaited = self._house.wait(self, pending)
        if isinstance(awaited, Refused):
            self._answer(awaited)
            return
        if self._held is None:
            self._reader.hold()
            self.deadline = self._house.clock + WAIT
        self._held = awaited

    def _go_on(self) -> None:
        """Judge the request that waits once more."""
        head, pending = self._head, self._held
        if head is None or pending is None:
            return
        grant = self._judge(head)
        if isinstance(grant, Pending):
            self._hold(grant)
            return
        self._let_on(head, grant)

    def _let_on(self, head: RequestHead, grant: Grant | Refused) -> None:
        self._held = None
        self._house.waiting.discard(self)
        if self._paused:  # by what came while it waited; whoever takes the body may pause it again
            self._paused = False
            self._transport.resume_reading()
        if isinstance(grant, Refused):
            self._answer(grant)
        else:
            self._forward(head, grant)
        self._reader.release()

    def _give_in(self, head: RequestHead, pending: Pending) -> None:
        """Let the settings decide what nobody has answered."""
        end, route = pending.otherwise, self._route
        if isinstance(end, Refused):
            self._let_on(head, end)
        elif route is not None:
            grant = self._grant = self._force.made(end, route, self._peer)
            self._let_on(head, grant)

    def _judge(self, head: RequestHead) -> Grant | Refused | Pending:
        """Hold a request against the host that TLS chose, its route, and what that route asks of clients."""
        if self._force is not self._house.in_force:
            withdrawn = self._renew()
            if withdrawn is not None:
                return withdrawn
        field = head.host or b""
        if field != self._seen_host:
            self._route = None
            refusal = check_host(field, self._sni, self.host, self._force.snapshot.hosts)
            if refusal is not None:
                return refusal
            self._seen_host = field
        route = self._only_route or find_route(head, self.host)
        if not isinstance(route, Route):
            self._route = None
            return route
        self._route = route
        grant, now = self._grant, self._house.wall
        if grant is None or grant.route is not route or grant.until <= now:
            judged = self._force.grant(route, self._peer, now)
            if isinstance(judged, Refused | Pending):
                return judged
            grant = self._grant = judged
        if route.max_body is not None and head.length > route.max_body:
            return Refused(Reason.BODY_TOO_LARGE, f"{head.length} octets; {route.path} takes {route.max_body}")
        return grant

    def _forward(self, head: RequestHead, grant: Grant) -> None:
        by_certificate = grant.by_certificate
        request_id = head.request_id if by_certificate else b""
        if not request_id:
            request_id = b"%b-%d" % (self._name, self._requests)
        self._request_id = request_id
        if not head.keep_alive:
            self._keep = False
        request = render(head, grant.identity, self._address, request_id, admitted=by_certificate)
        has_body = head.chunked or head.length > 0
        force = self._force
        self.deadline = self._house.clock + (force.limits.body_timeout if has_body else force.response_timeout)
        self._exchange = exchange = Exchange(grant.permit, self, grant.pool, head, request, has_body)
        exchange.start()

    def request_body(self, data: bytes) -> None:
        """Forward a piece of the body, or refuse a body that has become too long."""
        exchange, route, head = self._exchange, self._route, self._head
        if exchange is None or route is None or head is None:
            return  # answered already; what is left of the body is read and dropped
        self._body_in += len(data)
        if route.max_body is not None and self._body_in > route.max_body:
            self._end_early(Refused(Reason.BODY_TOO_LARGE, f"the body is longer than {route.max_body} octets"))
            return
        self.deadline = self._house.clock + self._force.limits.body_timeout
        exchange.body(encode_chunk(data) if head.chunked else data)

    def request_end(self) -> None:
        """Tell the app that the body is complete."""
        exchange, head = self._exchange, self._head
        if exchange is None or head is None:
            return
        if head.chunked:
            exchange.body(LAST_CHUNK)
        exchange.body_done()
        self.deadline = self._house.clock + self._force.response_timeout

    def request_refused(self, refusal: Refused) -> None:
        """Answer what is no request, and close."""
        if self._exchange is None:
            self._head = self._route = None
            self._body_in = self._bytes_out = 0
            self._started = _monotonic()
            self._requests += 1
            self._request_id = b""
        self._end_early(refusal)

    def _end_early(self, refusal: Refused) -> None:
        """End a request that cannot be read to its end: by an answer where none has begun, else by a cut."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
            if exchange.status:
                self._log_refusal(refusal, exchange.status)
                self._cut()
                return
        self._reader.stop()
        self._answer(refusal)

    # --- forward.exchange.Downstream: responses out

    def send(self, data: bytes) -> None:
        """Send plain octets to the client."""
        if self._closing:
            return
        if len(data) > BULKY:
            self.send_large(memoryview(data))
            return
        self._bytes_out += len(data)
        try:
            self._transport.write(self._session.write(data))
        except TlsError as error:
            self._break(f"TLS failed: {error}")
            return
        if self._writable:
            self.deadline = self._house.clock + self._force.response_timeout

    def send_large(self, data: memoryview) -> None:
        """Send plain octets that are only there during the call, without making others of them."""
        if self._closing:
            return
        self._bytes_out += len(data)
        try:
            write_large(self._session, self._transport, data)
        except TlsError as error:
            self._break(f"TLS failed: {error}")
            return
        if self._writable:
            self.deadline = self._house.clock + self._force.response_timeout

    def closes_after(self, status: int, *, delimited: bool) -> bool:
        """Decide whether this is the connection's last response."""
        if not delimited or self._house.draining:
            self._keep = False
        if self._grant is not None:
            self._grant.counters.responses[status // 100] += 1
        return not self._keep

    def response_done(self) -> None:
        """Observe the exchange, and read the next request."""
        exchange, self._exchange = self._exchange, None
        if exchange is None or self._closing:
            return
        grant, force = self._grant, self._force
        if grant is not None:
            counters = grant.counters
            counters.bytes_in += self._body_in
            counters.bytes_out += self._bytes_out
            counters.seconds.observe(_monotonic() - self._started)
        if force.logs_all or (force.logs_errors and exchange.status >= _SERVER_ERROR):
            self._house.log.write("request", **self._fields(exchange.status))
        if self._keep and exchange.request_sent:
            self._rest()
        else:
            self._close()

    def response_failed(self, reason: Reason, detail: str) -> None:
        """Answer for an app that did not, or cut the connection where its answer had begun."""
        exchange, self._exchange = self._exchange, None
        if exchange is None or self._closing:
            return
        refusal = Refused(reason, detail)
        if exchange.status:
            self._log_refusal(refusal, exchange.status)
            self._cut()
        else:
            self._answer(refusal)

    # --- answers of our own

    def _answer(self, refusal: Refused) -> None:
        """Answer with a category; the detail goes to the log."""
        head = self._head
        status = status_of(refusal.reason)
        if head is None or not head.keep_alive or status in CLOSING or self._reader.in_body or self._house.draining:
            self._keep = False
        self._request_id = self._request_id or b"%b-%d" % (self._name, self._requests)
        self._log_refusal(refusal, status)
        unread = status in CLOSING or self._reader.in_body
        self.send(
            answer(
                status, close=not self._keep, http11=head is None or head.http11,
                body=head is None or head.method != b"HEAD", request_id=self._request_id,
            )
        )  # fmt: skip
        if self._keep:
            self._rest()
        else:
            self._close(unread=unread)

    def _rest(self) -> None:
        """Wait for the next request, or go on with one that was pipelined."""
        if not self._writable:
            return  # who does not read answers asks for no more of them; ``resume_writing`` comes back here
        reader = self._reader
        self._head = None
        if self._session.bulky:
            self._session.rest_buffers()
        self.deadline = self._house.clock + self._force.idle_timeout
        reader.next()
        if reader.buffer and reader.in_head:
            self.deadline = self._house.clock + self._force.head_timeout
        if self._paused:
            self.resume_request()

    # --- time

    def expire(self) -> None:
        """Act on the deadline."""
        limits = self._force.limits
        if self._closing:
            self._transport.abort()
        elif self._held is not None and self._head is not None:
            self._give_in(self._head, self._held)
        elif not self._writable:
            self._expire_write(limits.write_timeout)
        elif self._exchange is not None and self._reader.in_body and not self._paused:
            self._end_early(Refused(Reason.REQUEST_TIMEOUT, f"nothing of the body for {limits.body_timeout:g} s"))
        elif self._exchange is not None:
            self._exchange.fail(Reason.UPSTREAM_TIMEOUT, f"no answer for {limits.upstream_response_timeout:g} s")
        elif self._reader.in_head:
            self._end_early(Refused(Reason.REQUEST_TIMEOUT, f"no complete head within {limits.head_timeout:g} s"))
        else:
            self._close()
