"""Fetch: one answer of a server elsewhere over HTTP(S), within bounds, from nobody but those who may be asked.

Nothing that the server does takes more octets, seconds or requests than the asker allows. How it failed is a value,
with what to tell the operator. The environment's proxies, cookies and content encodings have no part in it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final
from urllib.parse import urljoin
from weakref import WeakValueDictionary

import aiohttp
import certifi
from yarl import URL

from proxy import __version__
from proxy.control.fetched import (
    CHUNK,
    Fetched,
    NotModified,
    Request,
    Unfetched,
    UnfetchedError,
    Validators,
    take,
    words_of,
)
from proxy.decide.peer.answers import Fault
from proxy.decide.peer.hosts import place_of

MAX_AT_ONCE: Final = 32
"""Requests under way: a hundred sources are through in moments, and their bodies are what memory is needed for."""

MAX_PER_HOST: Final = 8
"""Requests under way to one host: a slow one leaves room for others."""

CONNECT_SECONDS: Final = 5.0
"""For each attempt to connect: two retransmissions of a lost SYN."""

KEEP_SECONDS: Final = 15.0
"""That a connection is kept for the next request: what comes in a burst shares it, what is refreshed later does not."""

MAX_LINE: Final = 8190
"""Octets of a line of the head, and of a field: what web servers themselves take."""


def tls_context(roots: str) -> ssl.SSLContext:
    """Make the context that https servers are held against.

    That is the PEM text of ``roots``, or, where it is empty, the well-known ones of the certifi package; never the
    system's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=roots or certifi.contents())
    return context


class Fetcher:
    """Fetches within one loop; ``roots`` is the PEM text of the roots of https servers. Close it at the end."""

    def __init__(
        self, roots: str = "", *, max_at_once: int = MAX_AT_ONCE, max_per_host: int = MAX_PER_HOST,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:  # fmt: skip
        self._max_per_host = max_per_host
        self._tls = tls_context(roots)
        self._roots = roots
        self._turns = asyncio.Semaphore(max_at_once)
        self._host_turns: WeakValueDictionary[object, asyncio.Semaphore] = WeakValueDictionary()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
            headers={"User-Agent": f"originward/{__version__}", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            read_bufsize=CHUNK,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
        )

    def trust(self, roots: str) -> None:
        """Hold https servers against other roots from now on."""
        if roots != self._roots:
            self._tls, self._roots = tls_context(roots), roots

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def fetch(self, request: Request) -> Fetched | NotModified | Unfetched:
        """Ask, and return what came of it; nothing but cancellation is raised."""
        ends = asyncio.get_running_loop().time() + request.seconds
        try:
            _check_address(request)
            async with self._turn(request, ends):
                return await self._within(request, ends)
        except UnfetchedError as fault:
            return fault.value

    @asynccontextmanager
    async def _turn(self, request: Request, ends: float) -> AsyncIterator[None]:
        """Wait until few enough others ask, and fewer still of them the same host."""
        async with AsyncExitStack() as turns:
            try:
                async with asyncio.timeout_at(ends):
                    await turns.enter_async_context(self._turns_of(request.url))
                    await turns.enter_async_context(self._turns)
            except TimeoutError as fault:
                raise UnfetchedError(Fault.BUSY, f"waited {request.seconds:g} s for its turn among others") from fault
            yield

    def _turns_of(self, url: str) -> asyncio.Semaphore:
        place = place_of(url)
        turns = self._host_turns.get(place)
        if turns is None:
            turns = self._host_turns[place] = asyncio.Semaphore(self._max_per_host)
        return turns

    async def _within(self, request: Request, ends: float) -> Fetched | NotModified:
        try:
            async with asyncio.timeout_at(ends):
                return await self._follow(request)
        except TimeoutError as fault:
            raise UnfetchedError(Fault.TIMED_OUT, f"no whole answer within {request.seconds:g} s") from fault

    async def _follow(self, request: Request) -> Fetched | NotModified:
        for _ in range(request.max_redirects + 1):
            found = await self._ask(request)
            if not isinstance(found, str):
                return found
            request = replace(request, url=_next(request.url, found))
            _check_address(request)
        raise UnfetchedError(
            Fault.REDIRECTED, f"more than {request.max_redirects} redirects, the last to {request.url}"
        )

    async def _ask(self, request: Request) -> Fetched | NotModified | str:
        """Ask one address; text is where it redirects to."""
        method = "GET" if request.body is None else "POST"
        headers = {**request.headers, **_conditions(request.known)}
        url = URL(request.url, encoded=True)
        try:
            async with self._session.request(
                method, url, data=request.body, headers=headers, allow_redirects=False, ssl=self._tls
            ) as response:
                return await take(request, response)
        except aiohttp.ConnectionTimeoutError as fault:
            raise UnfetchedError(Fault.TIMED_OUT, f"no connection: {fault}") from fault
        except aiohttp.ClientResponseError as fault:
            raise UnfetchedError(Fault.MALFORMED, f"no HTTP: {' '.join(fault.message.split())}") from fault
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise UnfetchedError(Fault.UNREACHABLE, words_of(fault)) from fault


def _check_address(request: Request) -> None:
    if place_of(request.url) is None or not request.allows(request.url):
        raise UnfetchedError(Fault.HOST_NOT_ALLOWED, f"{request.url} may not be asked; allow_hosts does not name it")


def _next(here: str, location: str) -> str:
    try:
        there = urljoin(here, location)
    except ValueError as fault:
        raise UnfetchedError(Fault.REDIRECTED, f"redirected to {location!a}, which is no address") from fault
    if here.startswith("https:") and not there.lower().startswith("https:"):
        raise UnfetchedError(Fault.REDIRECTED, f"redirected from https to {there}")
    return there


def _conditions(known: Validators | None) -> dict[str, str]:
    if known is None:
        return {}
    pairs = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in pairs.items() if value is not None}
