"""Exchange: one question to one responder, in the way that it understands (RFC 6960, appendix A; RFC 5019).

A request with a nonce is sent by POST: no cache can answer it. One without is sent by GET, as RFC 5019, section 5,
asks, so that a cache may. Where the responder does not take that, the other way is tried, once.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from secrets import token_bytes
from typing import Final
from urllib.parse import quote

from proxy.control.fetch import Fetcher
from proxy.control.fetched import Fetched, NotModified, Request, Unfetched
from proxy.decide.peer.answers import Answer, Fault, Unusable
from proxy.decide.peer.needs import Nonce, OcspNeed
from proxy.decide.peer.ocsp.request import NONCE, build_request
from proxy.decide.peer.ocsp.response import MAX_RESPONSE, read_answer
from proxy.decide.text import printable

MAX_GET: Final = 255
"""Octets of an address for GET, request included (RFC 5019, section 5); longer ones are sent by POST."""

MIN_SECONDS: Final = 0.05
"""That must be left for a second try to make sense."""

MAX_TYPE: Final = 64
"""Characters of a content type in a detail."""

REQUEST_TYPE: Final = "application/ocsp-request"
RESPONSE_TYPE: Final = "application/ocsp-response"

_OTHER_WAY: Final = frozenset({
    Fault.UNREACHABLE, Fault.HTTP_STATUS, Fault.MALFORMED, Fault.RESPONDER_ERROR, Fault.STALE,
})  # fmt: skip
"""What another way may cure: a method or a nonce that is not liked, a cache's old answer, a connection that was closed
as it was used again. The other faults would only be met twice."""


class Way(Enum):
    """A method, and whether a nonce goes with it."""

    GET = (True, False)
    GET_NONCE = (True, True)
    POST = (False, False)
    POST_NONCE = (False, True)

    @property
    def is_get(self) -> bool:
        """Tell whether the request is a part of the address."""
        return self.value[0]

    @property
    def has_nonce(self) -> bool:
        """Tell whether the answer can be one to this very request only."""
        return self.value[1]


WAYS: Final[Mapping[Nonce, tuple[Way, Way]]] = {
    Nonce.OFF: (Way.GET, Way.POST),
    Nonce.ASK: (Way.POST_NONCE, Way.GET),
    Nonce.REQUIRE: (Way.POST_NONCE, Way.GET_NONCE),
}
"""The ways by what a bundle says of nonces, in order of trial."""


@dataclass(frozen=True, slots=True)
class Received:
    """A verified answer, the DER response that it was read from, and the way that brought it."""

    answer: Answer
    der: bytes
    way: Way


@dataclass(frozen=True, slots=True)
class Exchange:
    """Asks over ``fetcher``. ``clock`` gives Unix seconds, ``timer`` those that time-outs are measured in."""

    fetcher: Fetcher
    clock: Callable[[], float]
    timer: Callable[[], float]

    async def ask(self, need: OcspNeed, url: str, known: Way | None) -> Received | Unusable:
        """Ask within the need's time-out, by the ``known`` way to this responder if it is one for this need.

        The judge has looked whether ``url`` may be asked, and no redirect is followed.
        """
        ends = self.timer() + need.timeout
        first, second = WAYS[need.nonce]
        if known is second:
            first, second = second, first
        outcome = await self._try(need, url, first, ends)
        if isinstance(outcome, Received) or outcome.fault not in _OTHER_WAY:
            return outcome
        if ends - self.timer() < MIN_SECONDS or (first is known and outcome.fault is Fault.RESPONDER_ERROR):
            return outcome
        again = await self._try(need, url, second, ends)
        return outcome if isinstance(again, Unusable) and again.fault is not Fault.TIMED_OUT else again

    async def _try(self, need: OcspNeed, url: str, way: Way, ends: float) -> Received | Unusable:
        nonce = token_bytes(NONCE) if way.has_nonce else None
        fetched = await self.fetcher.fetch(_request(url, build_request(need, nonce), way, ends - self.timer()))
        match fetched:
            case Unfetched(fault, detail):
                return Unusable(fault, detail)
            case NotModified():
                return Unusable(Fault.HTTP_STATUS, "answered 304 to a request without conditions")
            case Fetched() if fetched.content_type != RESPONSE_TYPE:
                kind = printable(fetched.content_type, MAX_TYPE)
                return Unusable(Fault.HTTP_STATUS, f"answered with {kind}, not {RESPONSE_TYPE}")
        answer = read_answer(fetched.body, need, nonce, url, self.clock())
        return answer if isinstance(answer, Unusable) else Received(answer, fetched.body, way)


def _request(url: str, der: bytes, way: Way, seconds: float) -> Request:
    post = Request(
        url=url, max_octets=MAX_RESPONSE, seconds=seconds, allows=lambda _url: True, body=der,
        headers={"Content-Type": REQUEST_TYPE, "Accept": RESPONSE_TYPE},
    )  # fmt: skip
    address = get_address(url, der) if way.is_get else None
    return post if address is None else replace(post, url=address, body=None, headers={"Accept": RESPONSE_TYPE})


def get_address(url: str, der: bytes) -> str | None:
    """Return the address that carries a request (RFC 6960, appendix A.1); None where it would be too long, or odd."""
    address = f"{url.rstrip('/')}/{quote(b64encode(der), safe='')}"
    return None if len(address) > MAX_GET or "?" in url or "#" in url else address
