"""Fetch: one answer of a server elsewhere over HTTP(S), within bounds, from nobody but those who may be asked.

Nothing that the server does takes more octets, seconds or requests than the asker allows. How it failed is a value,
with what to tell the operator. The environment's proxies, cookies and content encodings have no part in it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Final
from urllib.parse import urljoin
from weakref import WeakValueDictionary

import aiohttp
import certifi
from multidict import CIMultiDictProxy
from yarl import URL

from proxy import __version__
from proxy.decide.peer.answers import Fault
from proxy.decide.peer.hosts import place_of
from proxy.decide.text import printable

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

MAX_VALIDATOR: Final = 1024
"""Octets of an entity tag or a date that are sent back; a longer one is forgotten."""

MAX_WORDS: Final = 256
"""Characters of a stranger's words in a detail."""

_CHUNK: Final = 1 << 16
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_IDENTITY: Final = frozenset({"", "identity"})


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said that its answer can be known by, to ask later whether there is a newer one."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to ask, and how much may come of it: ``max_octets`` of body, ``seconds`` and ``max_redirects`` in all.

    ``allows`` tells whether an address may be asked, the first as each that a redirect leads to. With a ``body`` it is
    a POST. ``known`` are the validators of the answer that is at hand already. ``into`` takes the answer piece by
    piece, where it is too large to be held in memory; ``Fetched.body`` is empty then.
    """

    url: str
    max_octets: int
    seconds: float
    allows: Callable[[str], bool]
    max_redirects: int = 0
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    known: Validators | None = None
    into: Callable[[bytes], object] | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body, with the address that it came from in the end, and what it can be known by."""

    url: str
    body: bytes = field(repr=False)
    content_type: str
    validators: Validators


@dataclass(frozen=True, slots=True)
class NotModified:
    """The answer at hand is still the newest."""

    url: str


@dataclass(frozen=True, slots=True)
class Unfetched:
    """No answer: of which kind, and in words for the operator."""

    fault: Fault
    detail: str


class _FaultError(Exception):
    """An ``Unfetched`` on its way out."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.value = Unfetched(fault, printable(detail, 2 * MAX_WORDS))


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
            read_bufsize=_CHUNK,
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
        except _FaultError as fault:
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
                raise _FaultError(Fault.BUSY, f"waited {request.seconds:g} s for its turn among others") from fault
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
            raise _FaultError(Fault.TIMED_OUT, f"no whole answer within {request.seconds:g} s") from fault

    async def _follow(self, request: Request) -> Fetched | NotModified:
        for _ in range(request.max_redirects + 1):
            found = await self._ask(request)
            if not isinstance(found, str):
                return found
            request = replace(request, url=_next(request.url, found))
            _check_address(request)
        raise _FaultError(Fault.REDIRECTED, f"more than {request.max_redirects} redirects, the last to {request.url}")

    async def _ask(self, request: Request) -> Fetched | NotModified | str:
        """Ask one address; text is where it redirects to."""
        method = "GET" if request.body is None else "POST"
        headers = {**request.headers, **_conditions(request.known)}
        url = URL(request.url, encoded=True)
        try:
            async with self._session.request(
                method, url, data=request.body, headers=headers, allow_redirects=False, ssl=self._tls
            ) as response:
                return await _take(request, response)
        except aiohttp.ConnectionTimeoutError as fault:
            raise _FaultError(Fault.TIMED_OUT, f"no connection: {fault}") from fault
        except aiohttp.ClientResponseError as fault:
            raise _FaultError(Fault.MALFORMED, f"no HTTP: {' '.join(fault.message.split())}") from fault
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise _FaultError(Fault.UNREACHABLE, _words(fault)) from fault


def _check_address(request: Request) -> None:
    if place_of(request.url) is None or not request.allows(request.url):
        raise _FaultError(Fault.HOST_NOT_ALLOWED, f"{request.url} may not be asked; allow_hosts does not name it")


def _next(here: str, location: str) -> str:
    try:
        there = urljoin(here, location)
    except ValueError as fault:
        raise _FaultError(Fault.REDIRECTED, f"redirected to {location!a}, which is no address") from fault
    if here.startswith("https:") and not there.lower().startswith("https:"):
        raise _FaultError(Fault.REDIRECTED, f"redirected from https to {there}")
    return there


def _conditions(known: Validators | None) -> dict[str, str]:
    if known is None:
        return {}
    pairs = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in pairs.items() if value is not None}


async def _take(request: Request, response: aiohttp.ClientResponse) -> Fetched | NotModified | str:
    status = response.status
    location = response.headers.get("Location")
    if status in _MOVED and location is not None:
        if not request.max_redirects:
            raise _FaultError(Fault.REDIRECTED, f"redirected to {location}, and no redirect is followed")
        return location
    if status == HTTPStatus.NOT_MODIFIED and request.known is not None:
        return NotModified(request.url)
    if status != HTTPStatus.OK:
        raise _FaultError(Fault.HTTP_STATUS, f"answered {status} {printable(response.reason or '', MAX_WORDS)}".strip())
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _IDENTITY:
        raise _FaultError(Fault.MALFORMED, f"the answer is compressed ({encoding}), which was not asked for")
    body = await _body(request, response)
    return Fetched(request.url, body, response.content_type, _validators(response.headers))


async def _body(request: Request, response: aiohttp.ClientResponse) -> bytes:
    announced = response.content_length
    if announced is not None and announced > request.max_octets:
        raise _FaultError(Fault.TOO_LARGE, f"{announced} octets announced; at most {request.max_octets} are taken")
    body = bytearray()
    take = body.extend if request.into is None else request.into
    size = 0
    async for chunk in _chunks(response):
        size += len(chunk)
        if size > request.max_octets:
            raise _FaultError(Fault.TOO_LARGE, f"more than {request.max_octets} octets")
        take(chunk)
    return bytes(body)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    size = 0
    try:
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            yield chunk
    except (aiohttp.ClientError, OSError) as fault:
        raise _FaultError(Fault.UNREACHABLE, f"broken off after {size} octets: {_words(fault)}") from fault


def _validators(headers: CIMultiDictProxy[str]) -> Validators:
    return Validators(_bounded(headers.get("ETag")), _bounded(headers.get("Last-Modified")))


def _bounded(value: str | None) -> str | None:
    fits = value is not None and len(value) <= MAX_VALIDATOR and value.isascii() and value.isprintable()
    return value if fits else None


def _words(fault: BaseException) -> str:
    if isinstance(fault, aiohttp.ClientConnectorError):  # its own words have the address of a TLS context in memory
        return printable(f"no connection to {fault.host}:{fault.port}: {fault.os_error}", MAX_WORDS)
    return printable(str(fault) or type(fault).__name__, MAX_WORDS)
