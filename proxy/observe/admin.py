"""The admin page: is the process alive, is it ready, and its metrics, over plain HTTP for those beside it.

aiohttp parses; every connection carries one request and has one deadline, so nobody who connects can stay.
A browser on the same machine can be led to a loopback address by a name that its page's owner controls
(DNS rebinding), so on loopback the Host field must name this machine.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from errno import EAFNOSUPPORT
from http import HTTPStatus
from typing import Final

from aiohttp import web
from prometheus_client.registry import Collector

from proxy.observe.exposition import CONTENT_TYPE, Exposition
from proxy.observe.metrics import Metrics
from proxy.snapshot.address import Address

CONNECTION_SECONDS: Final = 10.0
"""From accept to close. Prometheus gives a scrape 10 s by default, health checks fewer."""

CLOSE_SECONDS: Final = 1.0
"""For the handlers of closed connections to end; none of them waits for anything outside."""

MAX_CONNECTIONS: Final = 64
"""At a time. A scraper, a health check and a few people; more is somebody's mistake, and not the proxy's to pay for."""

MAX_LINE: Final = 2_048
"""Octets of the request line: the paths here are short."""

MAX_FIELD: Final = 4_096
"""Octets of one header field: scrapers send an Accept and an Authorization, no cookies."""

PLAIN: Final = "text/plain; charset=utf-8"
METHODS: Final = ("GET", "HEAD")
COMMAND_FIELD: Final = "Originward-Command"
"""A command has to name itself in this field, too: no page can make a browser send it without asking us first."""

BROWSERS_FIELDS: Final = ("Origin", "Sec-Fetch-Site")
"""Fields that browsers add and commands have not."""

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
HEADERS: Final = {"Server": "originward", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""On every answer. The server field replaces aiohttp's, which names versions."""

_PORT: Final = re.compile(r":[0-9]*\Z")


Command = Callable[[], Awaitable[tuple[HTTPStatus, Mapping[str, object]]]]
"""Does what it is for, and returns how it went."""


class Admin:
    """Serves ``/healthz``, ``/readyz`` and ``/metrics``. ``ready`` returns None, or the reason why not yet.

    ``commands`` are done on POST, by their paths, where the address is on loopback. Where ``metrics`` are gathered from
    other processes first, ``gather`` does that, and ``processes`` are theirs.
    """

    def __init__(
        self, metrics: Metrics, ready: Callable[[], str | None],
        gather: Callable[[], Awaitable[None]] | None = None, processes: Collector | None = None,
    ) -> None:  # fmt: skip
        self.commands: dict[str, Command] = {}
        self._exposition = Exposition(metrics, processes)
        self._gather = gather
        self._ready = ready
        self._hosts: frozenset[str] | None = None
        self._manager: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._pages = {"/healthz": self._health, "/readyz": self._readiness, "/metrics": self._metrics}

    @property
    def port(self) -> int:
        """The port that is listened on, also where the address left the choice to the system; 0 before the start."""
        if self._listener is None or not self._listener.sockets:
            return 0
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """What is listened on."""
        return tuple(self._listener.sockets) if self._listener is not None else ()

    def stop_listening(self) -> None:
        """Leave new connections to whoever else listens on the address; answer those that are open."""
        if self._listener is not None:
            self._listener.close()

    async def start(self, address: Address) -> None:
        """Listen on ``address``, a host and a port; raise OSError naming the address where that fails."""
        loop = asyncio.get_running_loop()
        if address.path is not None:
            raise OSError(EAFNOSUPPORT, f"the admin address {address} is a Unix socket; a host and a port are needed")
        manager = web.Server(self._answer, handler_cancellation=True)
        self._hosts = _own_names(address)
        try:
            self._listener = await loop.create_server(
                lambda: _Connection(manager, loop), address.host, address.port, reuse_address=True, reuse_port=True
            )
        except OSError as fault:
            cause = os.strerror(fault.errno) if fault.errno and fault.errno > 0 else fault.strerror
            raise OSError(fault.errno, f"cannot listen on the admin address {address}: {cause}") from fault
        self._manager = manager

    async def close(self) -> None:
        """Stop listening and close what is open; a page under way is not waited for."""
        if self._listener is not None:
            self._listener.close()
        if self._manager is not None:
            # Idle connections first: aiohttp would wait for a request on them until the time is up.
            for connection in self._manager.connections:
                connection.force_close()
            await self._manager.shutdown(CLOSE_SECONDS)
        if self._listener is not None:
            await self._listener.wait_closed()
        self._listener = self._manager = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        page, command = self._pages.get(request.path), self.commands.get(request.path)
        if self._hosts is not None and _without_port(request.headers.get("Host", "")) not in self._hosts:
            response = _response(HTTPStatus.MISDIRECTED_REQUEST, "this address answers to its own name only")
        elif command is not None:
            response = await self._obey(request, command)
        elif page is None:
            response = _response(HTTPStatus.NOT_FOUND, "not found")
        elif request.method not in METHODS:
            response = _response(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed")
            response.headers["Allow"] = ", ".join(METHODS)
        else:
            response = await page()
        response.force_close()
        return response

    async def _obey(self, request: web.BaseRequest, command: Command) -> web.Response:
        if request.method != "POST":
            response = _response(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed")
            response.headers["Allow"] = "POST"
            return response
        refusal = self._refusal(request)
        if refusal is not None:
            return _response(HTTPStatus.FORBIDDEN, refusal)
        if isinstance(request.protocol, _Connection):
            request.protocol.wait()
        status, answer = await command()
        return web.json_response(answer, status=status, headers=HEADERS)

    def _refusal(self, request: web.BaseRequest) -> str | None:
        """Say why nobody obeys: commands are for people on this machine, not for pages in their browsers."""
        if self._hosts is None:
            return "commands are taken on a loopback address only"
        if any(name in request.headers for name in BROWSERS_FIELDS):
            return "commands are not for browsers"
        if request.headers.get(COMMAND_FIELD) != request.path.removeprefix("/"):
            return f"the field {COMMAND_FIELD}: {request.path.removeprefix('/')} is missing"
        return None

    async def _health(self) -> web.Response:
        return _response(HTTPStatus.OK, "ok")

    async def _readiness(self) -> web.Response:
        reason = self._ready()
        if reason is None:
            return _response(HTTPStatus.OK, "ready")
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, reason)

    async def _metrics(self) -> web.Response:
        """Render part by part, so that connections get their turn: ten routes take 2 ms in all, 500 take 80 ms."""
        if self._gather is not None:
            await self._gather()
        parts = []
        for part in self._exposition.parts():
            parts.append(part)
            await asyncio.sleep(0)
        return web.Response(body=b"".join(parts), headers={**HEADERS, "Content-Type": CONTENT_TYPE})


class _Connection(web.RequestHandler):
    """aiohttp's connection with a deadline, a bound on their number, and no banner."""

    __slots__ = ("_deadline", "_owner")

    def __init__(self, owner: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            owner,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to switch it off
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            lingering_time=0,
        )
        self._owner = owner
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or drop it where there are too many."""
        super().connection_made(transport)
        if len(self._owner.connections) > MAX_CONNECTIONS:
            self._abort()
        else:
            self._deadline = asyncio.get_running_loop().call_later(CONNECTION_SECONDS, self._abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the deadline with the connection."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # aiohttp's text quotes what the client sent
    ) -> web.StreamResponse:
        """Answer a malformed request with its category; a fault of our own also goes to the loop's handler."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            context = {"message": f"the admin page failed at {request.path}", "exception": exc}
            asyncio.get_running_loop().call_exception_handler(context)
        response = _response(HTTPStatus(status), HTTPStatus(status).phrase.lower())
        response.force_close()
        return response

    def wait(self) -> None:
        """Give a command the time that it takes: it has an end of its own."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def _response(status: HTTPStatus, body: str) -> web.Response:
    return web.Response(status=status, body=f"{body}\n".encode(), headers={**HEADERS, "Content-Type": PLAIN})


def _own_names(address: Address) -> frozenset[str] | None:
    """Return what the Host field may name on a loopback address; None where it may name anything."""
    return LOOPBACK_NAMES | {_without_port(str(address))} if address.is_loopback else None


def _without_port(authority: str) -> str:
    return _PORT.sub("", authority, count=1).lower()
