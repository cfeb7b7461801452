"""Relay: links and exchanges without sockets, and what their client gets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, cast

from proxy.decide.request.head import RequestHead, read_head
from proxy.decide.verdict import Admitted, Reason
from proxy.forward.exchange import Exchange
from proxy.forward.link import Link
from proxy.forward.pool import Pool, Server

PERMIT: Final = Admitted(None)


class FakeTransport:
    """Takes what is written; ``full`` makes it ask for a pause with the next write."""

    def __init__(self) -> None:
        self.written = b""
        self.reading = True
        self.closed: str | None = None
        self.full: Link | None = None
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: bytes) -> None:
        """Take octets, and pause the writer where it is to be paused."""
        assert self.closed is None
        self.written += data
        if self.full is not None:
            self.full.pause_writing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another one hear what comes."""
        self.protocol = protocol

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self.closed is not None

    def pause_reading(self) -> None:
        """Stop reading."""
        self.reading = False

    def resume_reading(self) -> None:
        """Read on."""
        self.reading = True

    def abort(self) -> None:
        """Close at once."""
        self.closed = "aborted"

    def close(self) -> None:
        """Close in good order."""
        self.closed = "closed"


@dataclass
class Client:
    """The downstream of an exchange: ``got`` is what the client got, ``calls`` all else, in order."""

    closing: bool = False
    got: bytes = b""
    pieces: list[bytes] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    failure: tuple[Reason, str] | None = None

    def send(self, data: bytes) -> None:
        """Take octets of the response."""
        assert data
        self.got += data
        self.pieces.append(data)

    def send_large(self, data: memoryview) -> None:
        """Take octets of the response that are there for now."""
        self.send(bytes(data))

    def closes_after(self, status: int, *, delimited: bool) -> bool:
        """Close where there is no other way to end the body."""
        self.calls.append(f"status {status}")
        return self.closing or not delimited

    def response_done(self) -> None:
        """Take note."""
        self.calls.append("done")

    def response_failed(self, reason: Reason, detail: str) -> None:
        """Take note."""
        self.calls.append("failed")
        self.failure = (reason, detail)

    def broken(self, fault: Exception) -> None:
        """Take note."""
        self.calls.append(f"broken: {fault!r}")

    def pause_request(self) -> None:
        """Take note."""
        self.calls.append("pause")

    def resume_request(self) -> None:
        """Take note."""
        self.calls.append("resume")


def make_head(method: bytes = b"GET", *, http11: bool = True) -> RequestHead:
    """Read a request's head; an exchange wants its method and version only."""
    head = read_head(b"%b / HTTP/1.%d\r\nHost: a\r\n\r\n" % (method, http11), 8)
    assert isinstance(head, RequestHead)
    return head


class FakePool:
    """A pool and its one server, as a record: the links that wait in it, were kept, removed, asked for."""

    name = "app"

    def __init__(self) -> None:
        self.idle: list[Link] = []
        self.kept: list[Link] = []
        self.removed: list[Link] = []
        self.asked: list[Exchange] = []
        self.retries = 0

    def take(self) -> Link | None:
        """Return a link that waits."""
        return self.idle.pop() if self.idle else None

    def connect(self, exchange: Exchange) -> None:
        """Take note of who asks."""
        self.asked.append(exchange)

    def count_retry(self) -> None:
        """Count."""
        self.retries += 1

    def keep(self, link: Link) -> None:
        """Take a link back."""
        self.kept.append(link)

    def remove(self, link: Link) -> None:
        """Forget a link."""
        self.removed.append(link)

    def link(self) -> tuple[Link, FakeTransport]:
        """Make a connected link."""
        link, transport = Link(cast("Server", self)), FakeTransport()
        link.connection_made(cast("asyncio.BaseTransport", transport))
        return link, transport

    def exchange(
        self,
        client: Client,
        request: bytes = b"GET",
        method: bytes = b"GET",
        *,
        http11: bool = True,
        has_body: bool = False,
    ) -> Exchange:
        """Make an exchange of this pool."""
        head = make_head(method, http11=http11)
        return Exchange(PERMIT, client, cast("Pool", self), head, request, has_body=has_body)
