"""An exchange: one admitted request on its way to the app, and the answer on its way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from proxy.decide.request.head import RequestHead
from proxy.decide.verdict import Admitted, Reason
from proxy.forward.response import Body, ResponseHead

if TYPE_CHECKING:
    from proxy.forward.link import Link
    from proxy.forward.pool import Pool

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""RFC 9110, section 9.2.2: repeating these does no more than doing them once."""


class Downstream(Protocol):
    """The client side of an exchange, as the origin side sees it."""

    def send(self, data: bytes) -> None:
        """Send plain octets to the client."""

    def send_large(self, data: memoryview) -> None:
        """Send plain octets that are only there during the call."""

    def closes_after(self, status: int, *, delimited: bool) -> bool:
        """Decide, as the response's head is written, whether the client's connection ends with this response.

        It has to where the client cannot see by itself where the response ends, or where the request has not ended:
        then ``delimited`` is false.
        """

    def response_done(self) -> None:
        """Go on with the next request: the response is complete."""

    def response_failed(self, reason: Reason, detail: str) -> None:
        """Answer for the app, or cut the connection where its answer has begun."""

    def broken(self, fault: Exception) -> None:
        """Cut the client's connection because of an exception that nobody foresaw."""

    def pause_request(self) -> None:
        """Stop reading the request's body."""

    def resume_request(self) -> None:
        """Read the request's body on."""


class Exchange:
    """One request and its response.

    Takes an ``Admitted``, which only the judges make: nothing is forwarded without a verdict. States: waiting for a
    link (``_link`` is None), sending and receiving, over (``_over``). ``status`` is 0 until the response has begun.
    """

    __slots__ = ("_body_begun", "_link", "_over", "_pool", "_request", "_reused", "downstream", "http11", "method",
                 "permit", "request_sent", "status")  # fmt: skip

    def __init__(  # noqa: PLR0917 - a keyword costs time on the path of a request
        self, permit: Admitted, downstream: Downstream, pool: Pool, head: RequestHead, request: bytes,
        has_body: bool,
    ) -> None:  # fmt: skip
        self.permit = permit
        self.downstream = downstream
        self.method = head.method
        self.http11 = head.http11
        self.status = 0
        self.request_sent = not has_body
        self._pool = pool
        self._request = request
        self._body_begun = False
        self._reused = False
        self._link: Link | None = None
        self._over = False

    # --- what the client side does

    def start(self) -> None:
        """Send the request on a kept link, or have one opened."""
        link = self._pool.take()
        if link is None:
            self._connect()
            return
        self._reused = True
        self._link = link
        link.begin(self, self._request)

    def body(self, data: bytes) -> None:
        """Send a piece of the request's body, in the coding that the head announced.

        While no link is there yet, the piece waits with the head: the client has been told to pause, so that at most
        what one read brought is waiting.
        """
        if self._over:
            return
        self._body_begun = True
        if self._link is None:
            self._request += data
        else:
            self._link.write(data)

    def body_done(self) -> None:
        """Note that the request is complete."""
        self.request_sent = True

    def cancel(self) -> None:
        """End the exchange because the client has gone."""
        self._over = True
        link, self._link = self._link, None
        if link is not None:
            link.abandon()

    def pause_response(self) -> None:
        """Stop reading the response: the client is slower than the app."""
        if self._link is not None:
            self._link.pause()

    def resume_response(self) -> None:
        """Read the response on."""
        if self._link is not None:
            self._link.resume()

    # --- what the origin side does

    def connected(self, link: Link) -> None:
        """Send the request on a new link."""
        if self._over:
            link.close()
            return
        self._link = link
        self.downstream.resume_request()  # before an app that is slow from the start pauses it again
        link.begin(self, self._request)

    def interim(self, head: ResponseHead) -> None:
        """Pass on an interim response (RFC 9110, section 15.2), which HTTP/1.0 does not know."""
        if self.http11:
            self.downstream.send(head.render(http11=True, close=False))

    def head(self, head: ResponseHead) -> bytes:
        """Return the response's head as the client gets it."""
        self.status = head.status
        self._request = b""
        http11 = self.http11
        ends_visibly = self.request_sent and (http11 or head.length is not None or head.body is Body.NONE)
        return head.render(http11=http11, close=self.downstream.closes_after(head.status, delimited=ends_visibly))

    def complete(self) -> None:
        """End the exchange: the response is complete."""
        if not self._over:
            self._over = True
            self._link = None
            self.downstream.response_done()

    def link_lost(self, link: Link, detail: str) -> None:
        """Repeat the request once where that is safe, else fail.

        Safe: the app had closed a kept link before it saw the request, the method is idempotent, and nothing of a
        body has been sent (RFC 9112, section 9.3.1).
        """
        if self._link is not link:
            return
        self._link = None
        if self._reused and not self.status and not self._body_begun and self.method in IDEMPOTENT:
            self._reused = False
            self._pool.count_retry()
            self._connect()
        else:
            self.fail(Reason.UPSTREAM_UNAVAILABLE, detail)

    def fail(self, reason: Reason, detail: str) -> None:
        """End the exchange without a complete response."""
        if not self._over:
            self._over = True
            link, self._link = self._link, None
            if link is not None:
                link.abandon()
            self.downstream.response_failed(reason, f"upstream {self._pool.name}: {detail}")

    def _connect(self) -> None:
        if not self.request_sent:
            self.downstream.pause_request()
        self._pool.connect(self)
