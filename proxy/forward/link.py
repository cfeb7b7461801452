"""A link: one connection to one server of the app, carrying one exchange at a time (RFC 9112)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from proxy.decide.request.chunked import LAST_CHUNK, ChunkedDecoder, ChunkedError, encode_chunk
from proxy.decide.verdict import Reason
from proxy.forward.large import LARGE, LargeBody
from proxy.forward.response import BadResponseError, Body, ResponseHead, read_response

if TYPE_CHECKING:
    from proxy.forward.exchange import Exchange
    from proxy.forward.pool import Server

MAX_HEAD: Final = 64 * 1024
"""Octets of a response head: twice what clients may send, as cookies and policies come from this side."""

_END_OF_HEAD: Final = b"\r\n\r\n"
_NONE: Final = Body.NONE
_LENGTH: Final = Body.LENGTH
_CHUNKED: Final = Body.CHUNKED
_CLOSE: Final = Body.CLOSE
_FIRST_FINAL: Final = 200

MAX_INTERIM: Final = 100
"""Interim responses to one request: apps send one or two, and reports of progress some dozens."""

_SWITCHING: Final = 101


class Link(asyncio.Protocol):
    """One connection to the app.

    States: idle (no exchange), awaiting a head (``_body`` is None), relaying a body, closed.
    """

    __slots__ = ("_body", "_chunks", "_exchange", "_held", "_interims", "_large", "_left", "_paused", "_reusable",
                 "_server", "_transport", "idle_since")  # fmt: skip
    _transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        self._exchange: Exchange | None = None
        self._held = b""
        self._body: Body | None = None
        self._chunks: ChunkedDecoder | None = None
        self._left = self._interims = 0
        self._large = False
        self._paused = False
        self._reusable = False
        self.idle_since = 0.0

    # --- what an exchange does with its link

    def begin(self, exchange: Exchange, request: bytes) -> None:
        """Send a request's head (and what is known of its body) for ``exchange``; the link must be idle."""
        self._exchange = exchange
        self._body = None
        self._transport.write(request)

    def write(self, data: bytes) -> None:
        """Send a piece of the request's body."""
        self._transport.write(data)

    def pause(self) -> None:
        """Stop reading the response: the client is slower than the app."""
        if not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def abandon(self) -> None:
        """Cut the link: its exchange ended before the app's answer did."""
        self._exchange = None
        self._transport.abort()

    def close(self) -> None:
        """Close an idle link."""
        self._transport.close()

    # --- what the event loop does

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of a new connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Relay what the app sent; an idle link has nothing to say and is closed."""
        exchange = self._exchange
        if exchange is None:
            self._server.remove(self)
            self._transport.abort()
            return
        try:
            if self._body is None:
                self._relay_head(exchange, data)
            else:
                self._relay_body(exchange, data, b"")
        except (BadResponseError, ChunkedError) as fault:
            self._drop(exchange, Reason.UPSTREAM_PROTOCOL, f"the answer is not HTTP/1.1: {fault}")
        except Exception as fault:
            self._exchange = None
            exchange.downstream.broken(fault)
            raise  # the event loop logs it, and cuts the link

    def piece_received(self, data: memoryview) -> None:
        """Relay a piece of a large body, which is only there during the call."""
        exchange = self._exchange
        if exchange is None:
            return
        left = self._left = self._left - len(data)
        if left < 0:
            data = data[:left]
            self._reusable = False
        try:
            exchange.downstream.send_large(data)
            if left <= 0:
                self._finish(exchange)
        except Exception as fault:
            self._exchange = None
            exchange.downstream.broken(fault)
            raise

    def eof_received(self) -> bool:
        """Let the transport close; ``connection_lost`` draws the conclusions. Nobody is to get a link that ends."""
        if self._exchange is None:
            self._server.remove(self)
        return False

    def connection_lost(self, fault: Exception | None) -> None:
        """End the exchange that was on its way, if any: by close, or by failure."""
        self._server.remove(self)
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if self._body is _CLOSE and fault is None:
            if exchange.http11:
                exchange.downstream.send(LAST_CHUNK)
            exchange.complete()
        else:
            exchange.link_lost(self, f"the connection broke: {fault or 'closed by the app'}")

    def pause_writing(self) -> None:
        """Stop reading the request's body: the app is slower than the client."""
        if self._exchange is not None:
            self._exchange.downstream.pause_request()

    def resume_writing(self) -> None:
        """Read the request's body on."""
        if self._exchange is not None:
            self._exchange.downstream.resume_request()

    # --- the response

    def _relay_head(self, exchange: Exchange, data: bytes) -> None:
        """Read the response's head, and relay it with what came of the body."""
        if self._held:
            data, self._held = self._held + data, b""
        while True:
            end = data.find(_END_OF_HEAD)
            if end < 0:
                self._hold(data)
                return
            end += 4
            if end > MAX_HEAD:
                raise BadResponseError(f"its head is longer than {MAX_HEAD} octets")
            head = read_response(data[:end], exchange.method)
            if head.status >= _FIRST_FINAL:
                break
            self._interim(exchange, head)
            data = data[end:]
            if not data:
                return
        self._body = head.body
        self._reusable = head.keep_alive and head.body is not _CLOSE
        if head.body is _LENGTH:
            self._left = head.length or 0
            if self._left > LARGE:
                self._large = True
                self._transport.set_protocol(LargeBody(self))
        elif head.body is _CHUNKED:
            self._begin_chunks(exchange, head, data[end:])
            return
        self._relay_body(exchange, data[end:], exchange.head(head))

    def _interim(self, exchange: Exchange, head: ResponseHead) -> None:
        if head.status == _SWITCHING:
            raise BadResponseError("it switches protocols, which was not asked for")
        self._interims += 1
        if self._interims > MAX_INTERIM:
            raise BadResponseError(f"more than {MAX_INTERIM} interim responses")
        exchange.interim(head)

    def _hold(self, start: bytes) -> None:
        if len(start) > MAX_HEAD:
            raise BadResponseError(f"its head is longer than {MAX_HEAD} octets")
        self._held = start

    def _relay_body(self, exchange: Exchange, data: bytes, prefix: bytes) -> None:
        """Relay a piece of the body, behind ``prefix``, in one write."""
        body = self._body
        if body is _LENGTH:
            left = self._left = self._left - len(data)
            if left < 0:
                data = data[:left]
                self._reusable = False
            exchange.downstream.send(prefix + data if prefix else data)
            if left <= 0:
                self._finish(exchange)
        elif body is _NONE:
            self._reusable = self._reusable and not data
            exchange.downstream.send(prefix)
            self._finish(exchange)
        elif body is _CHUNKED:
            self._relay_chunks(exchange, data)
        elif prefix or data:
            exchange.downstream.send(prefix + (encode_chunk(data) if exchange.http11 and data else data))

    def _begin_chunks(self, exchange: Exchange, head: ResponseHead, data: bytes) -> None:
        """Relay a head with what came of its chunks, which are read first: nothing has begun if they are bad."""
        self._chunks = chunks = ChunkedDecoder()
        payload = chunks.feed(data)
        self._send_chunks(exchange, chunks, payload, exchange.head(head))

    def _relay_chunks(self, exchange: Exchange, data: bytes) -> None:
        chunks = self._chunks
        if chunks is None:
            raise RuntimeError("a chunked body without its decoder")
        self._send_chunks(exchange, chunks, chunks.feed(data), b"")

    def _send_chunks(self, exchange: Exchange, chunks: ChunkedDecoder, payload: bytes, prefix: bytes) -> None:
        if exchange.http11:
            payload = (encode_chunk(payload) if payload else b"") + (LAST_CHUNK if chunks.done else b"")
        if prefix or payload:
            exchange.downstream.send(prefix + payload)
        if chunks.done:
            self._reusable = self._reusable and not chunks.rest
            self._finish(exchange)

    def _finish(self, exchange: Exchange) -> None:
        """Take leave of the exchange, and keep the link if the next one can use it."""
        if self._exchange is not exchange:
            return  # the client went away while the last piece was delivered
        if self._large:
            self._large = False
            self._transport.set_protocol(self)
        self._exchange = None
        self._body = None
        self._interims = 0
        if self._reusable and exchange.request_sent:
            if self._paused:  # this client was slow at the very end; the next one need not be
                self.resume()
            self._server.keep(self)
        else:
            self._transport.abort()
        exchange.complete()

    def _drop(self, exchange: Exchange, reason: Reason, detail: str) -> None:
        self._exchange = None
        self._transport.abort()
        exchange.fail(reason, detail)
