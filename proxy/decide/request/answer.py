"""The proxy's own answers: small, uniform, and silent about everything but their category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxy.decide.verdict import Reason

_PHRASES: Final[Mapping[int, str]] = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    413: "Content Too Large",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

_FORBIDDEN: Final = 403
_STATUS: Final[Mapping[Reason, int]] = {
    Reason.BAD_REQUEST: 400,
    Reason.AMBIGUOUS_PATH: 400,
    Reason.NOT_TLS: 400,
    Reason.NO_ROUTE: 404,
    Reason.REQUEST_TIMEOUT: 408,
    Reason.BODY_TOO_LARGE: 413,
    Reason.HOST_MISMATCH: 421,
    Reason.HEAD_TOO_LARGE: 431,
    Reason.INTERNAL_ERROR: 500,
    Reason.UPSTREAM_UNAVAILABLE: 502,
    Reason.UPSTREAM_PROTOCOL: 502,
    Reason.UPSTREAM_BUSY: 503,
    Reason.UPSTREAM_TIMEOUT: 504,
}

CLOSING: Final = frozenset({400, 408, 413, 431, 500})
"""After these the stream of requests cannot be trusted, or is not worth reading on."""


def status_of(reason: Reason) -> int:
    """Return the status that a client sees for a refusal; whatever is about its certificate is 403."""
    return _STATUS.get(reason, _FORBIDDEN)


def answer(status: int, *, close: bool, http11: bool = True, body: bool = True, request_id: bytes = b"") -> bytes:
    """Write an answer of our own; without ``body`` it is one to HEAD."""
    text = f"{status} {_PHRASES[status]}\n".encode()
    head = b"HTTP/1.1 %d %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % (
        status, _PHRASES[status].encode(), len(text),
    )  # fmt: skip
    if request_id:
        head += b"X-Request-Id: " + request_id + b"\r\n"
    if close:
        head += b"Connection: close\r\n"
    elif not http11:
        head += b"Connection: keep-alive\r\n"
    return head + b"\r\n" + (text if body else b"")
