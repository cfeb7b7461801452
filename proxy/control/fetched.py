"""Fetched: what a server elsewhere is asked, and what its answer comes to, which is read within the bounds of that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import aiohttp
from multidict import CIMultiDictProxy

from proxy.decide.peer.answers import Fault
from proxy.decide.text import printable

MAX_VALIDATOR: Final = 1024
"""Octets of an entity tag or a date that are sent back; a longer one is forgotten."""

MAX_WORDS: Final = 256
"""Characters of a stranger's words in a detail."""

CHUNK: Final = 1 << 16
"""Octets of a body that are taken at a time."""

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


class UnfetchedError(Exception):
    """An ``Unfetched`` on its way out."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.value = Unfetched(fault, printable(detail, 2 * MAX_WORDS))


async def take(request: Request, response: aiohttp.ClientResponse) -> Fetched | NotModified | str:
    """Read what a server answers; text is where it redirects to. Raises UnfetchedError."""
    status = response.status
    location = response.headers.get("Location")
    if status in _MOVED and location is not None:
        if not request.max_redirects:
            raise UnfetchedError(Fault.REDIRECTED, f"redirected to {location}, and no redirect is followed")
        return location
    if status == HTTPStatus.NOT_MODIFIED and request.known is not None:
        return NotModified(request.url)
    if status != HTTPStatus.OK:
        raise UnfetchedError(
            Fault.HTTP_STATUS, f"answered {status} {printable(response.reason or '', MAX_WORDS)}".strip()
        )
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _IDENTITY:
        raise UnfetchedError(Fault.MALFORMED, f"the answer is compressed ({encoding}), which was not asked for")
    body = await _body(request, response)
    return Fetched(request.url, body, response.content_type, _validators(response.headers))


async def _body(request: Request, response: aiohttp.ClientResponse) -> bytes:
    announced = response.content_length
    if announced is not None and announced > request.max_octets:
        raise UnfetchedError(Fault.TOO_LARGE, f"{announced} octets announced; at most {request.max_octets} are taken")
    body = bytearray()
    keep = body.extend if request.into is None else request.into
    size = 0
    async for chunk in _chunks(response):
        size += len(chunk)
        if size > request.max_octets:
            raise UnfetchedError(Fault.TOO_LARGE, f"more than {request.max_octets} octets")
        keep(chunk)
    return bytes(body)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    size = 0
    try:
        async for chunk in response.content.iter_chunked(CHUNK):
            size += len(chunk)
            yield chunk
    except (aiohttp.ClientError, OSError) as fault:
        raise UnfetchedError(Fault.UNREACHABLE, f"broken off after {size} octets: {words_of(fault)}") from fault


def _validators(headers: CIMultiDictProxy[str]) -> Validators:
    return Validators(_bounded(headers.get("ETag")), _bounded(headers.get("Last-Modified")))


def _bounded(value: str | None) -> str | None:
    fits = value is not None and len(value) <= MAX_VALIDATOR and value.isascii() and value.isprintable()
    return value if fits else None


def words_of(fault: BaseException) -> str:
    """Say what went wrong on the way, in few words."""
    if isinstance(fault, aiohttp.ClientConnectorError):  # its own words have the address of a TLS context in memory
        return printable(f"no connection to {fault.host}:{fault.port}: {fault.os_error}", MAX_WORDS)
    return printable(str(fault) or type(fault).__name__, MAX_WORDS)
