"""A gateway: a proxy with a route for each thing that HTTP can do, an app that follows scripts, and raw clients."""

from __future__ import annotations

import queue
import select
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from proxy.decide.request.chunked import ChunkedDecoder
from proxy.operate.demo.pki import Authority, Credential, Leaf
from tests.support.harness import PATIENCE, ProxyProcess, RawOrigin, Response, Seen, TlsClient, running
from tests.support.site import TLS, ZONE, document, write_config, write_server

PIECE: Final = 16 * 1024
"""Octets that a client hands to TLS at once: one record."""

STALL: Final = 0.5
"""Seconds without progress after which a sender counts as held up."""

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


class Visit:
    """One request at the app: its head is read; the rest is for its handler."""

    def __init__(self, connection: socket.socket, seen: Seen, held: bytes) -> None:
        self.connection = connection
        self.seen = seen
        self.held = held
        self.open = True

    def receive(self) -> bytes:
        """Return what comes next of the body, as it is on the wire; b"" at the end of the stream."""
        data, self.held = self.held, b""
        return data or self.connection.recv(65536)

    def body(self) -> bytes:
        """Return the whole body, decoded; what comes after it stays."""
        if self.seen.header("transfer-encoding") == "chunked":
            decoder, pieces = ChunkedDecoder(), []
            while not decoder.done and (data := self.receive()):
                pieces.append(decoder.feed(data))
            self.held, self.seen.body = decoder.rest, b"".join(pieces)
        else:
            length, data = int(self.seen.header("content-length") or "0"), self.held
            while len(data) < length and (piece := self.connection.recv(65536)):
                data += piece
            self.seen.body, self.held = data[:length], data[length:]
        return self.seen.body

    def say(self, *pieces: bytes) -> None:
        """Send octets, each piece by itself."""
        for piece in pieces:
            self.connection.sendall(piece)

    def close(self) -> None:
        """Close the connection in good order."""
        self.open = False
        self.connection.shutdown(socket.SHUT_RDWR)


Handler = Callable[[Visit], None]


def say(*pieces: bytes, close: bool = False) -> Handler:
    """Make a handler that reads the request and says something."""

    def handler(visit: Visit) -> None:
        visit.body()
        visit.say(*pieces)
        if close:
            visit.close()

    return handler


def swallow(visit: Visit) -> None:
    """Read to the end of the stream, and never answer."""
    while visit.receive():
        pass
    visit.open = False


class App(RawOrigin):
    """An app with a handler per path; a path without one is answered with ``OK``. What it saw is kept per path."""

    def __init__(self, listener: socket.socket | None = None) -> None:
        self.handlers: dict[str, Handler] = {}
        self.visits: defaultdict[str, queue.Queue[Seen]] = defaultdict(queue.Queue)
        super().__init__(self._follow)
        if listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join(PATIENCE)
            self._listener.close()
            self._listener = listener
            self._thread = threading.Thread(target=self._accept, daemon=True)
            self._thread.start()

    def on(self, path: str, handler: Handler) -> str:
        """Set what happens on a path; return the path."""
        self.handlers[path] = handler
        return path

    def saw(self, path: str) -> Seen:
        """Return the next request for a path."""
        return self.visits[path].get(timeout=PATIENCE)

    def _follow(self, connection: socket.socket, _origin: RawOrigin) -> None:
        held = b""
        while True:
            while b"\r\n\r\n" not in held:
                piece = connection.recv(65536)
                if not piece:
                    return
                held += piece
            head, _, rest = held.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].partition(b"?")[0].decode()
            visit = Visit(connection, Seen(head + b"\r\n\r\n", b""), rest)
            handler = self.handlers.get(path)
            if handler is not None:
                self.visits[path].put(visit.seen)
                handler(visit)
            else:
                visit.body()
                self.visits[path].put(visit.seen)
                visit.say(OK)
            if not visit.open:
                return
            held = visit.held


class Client:
    """A TLS client that reads its answers one by one, and to the octet."""

    def __init__(self, tls: TlsClient) -> None:
        self.tls = tls
        self._held = b""

    def send(self, *pieces: bytes) -> Self:
        """Send octets, record by record."""
        for piece in pieces:
            for start in range(0, len(piece), PIECE):
                self.tls.send(piece[start : start + PIECE])
        return self

    def ask(self, path: str, *fields: str, method: str = "GET", body: bytes = b"", host: str = ZONE) -> Response:
        """Send a request and return its answer."""
        self.send(request(path, *fields, method=method, body=body, host=host))
        return self.answer(method)

    def answer(self, method: str = "GET") -> Response:
        """Return the next answer, its body decoded; status 0 where there is none."""
        head, _, self._held = self.until(b"\r\n\r\n").partition(b"\r\n\r\n")
        response = Response.parse(head)
        if method == "HEAD" or response.status in (0, 204, 304) or response.status < 200:
            return response
        if response.header("transfer-encoding") == "chunked":
            response.body = self._chunks()
        elif response.header("content-length") is None:
            response.body = self.rest()
        else:
            response.body = self.exactly(int(response.header("content-length") or "0"))
        return response

    def _chunks(self) -> bytes:
        decoder = ChunkedDecoder()
        payload = decoder.feed(self._held)
        while not decoder.done and (piece := self.tls.read()):
            payload += decoder.feed(piece)
        self._held = decoder.rest
        return payload

    def until(self, end: bytes) -> bytes:
        """Return everything that has come, at least up to ``end`` or the end of the stream."""
        while end not in self._held and (piece := self.tls.read()):
            self._held += piece
        data, self._held = self._held, b""
        return data

    def exactly(self, size: int) -> bytes:
        """Return ``size`` octets, or what there is of them."""
        while len(self._held) < size and (piece := self.tls.read()):
            self._held += piece
        data, self._held = self._held[:size], self._held[size:]
        return data

    def skip(self, size: int) -> int:
        """Read ``size`` octets and forget them; return how many there were."""
        left = size - len(self._held)
        self._held = b""
        while left > 0 and (piece := self.tls.read()):
            left -= len(piece)
        return size - left

    def rest(self) -> bytes:
        """Return everything up to the end of the stream."""
        data, self._held = self._held + self.tls.read_all(), b""
        return data

    @property
    def ended(self) -> str | None:
        """Read to the end; say how it ended: ``closed`` (with close_notify), or the name of an error."""
        self.rest()
        return "closed" if self.tls.closed else self.tls.error

    @property
    def stays(self) -> bool:
        """Whether the connection carries another request."""
        return self.ask("/stays").status in (200, 403, 404)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.tls.close()


def request(
    path: str, *fields: str, method: str = "GET", body: bytes = b"", host: str = ZONE, version: str = "1.1"
) -> bytes:
    """Write a request; a body gets its length."""
    lines = [f"{method} {path} HTTP/{version}", f"Host: {host}", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunks(*payloads: bytes, trailers: bytes = b"") -> bytes:
    """Write a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in payloads) + b"0\r\n" + trailers + b"\r\n"


@dataclass
class Gateway:
    """A running proxy with its app and authorities; each client that is made is one that the log has not seen."""

    folder: Path
    proxy: ProxyProcess
    app: App
    cdn: Authority
    partners: Authority
    rogue: Authority
    _number: Iterator[int] = field(default_factory=lambda: iter(range(2, 1 << 20)))

    def edge(self) -> Credential:
        """Issue a new certificate of the CDN's."""
        return self.cdn.issue(Leaf(subject=f"edge {next(self._number)}", dns=("edge.example",)))

    def client(self, credential: Credential | None, sni: str | None = ZONE) -> Client:
        """Connect a client, from an address of its own; with None it has no certificate."""
        number = next(self._number)
        source = f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        return Client(TlsClient(self.proxy.port, sni, credential, source=source).handshake())

    def admitted(self) -> Client:
        """Connect a client that the CDN's routes admit."""
        return self.client(self.edge())

    def line(self, request_id: str | None) -> dict[str, Any]:
        """Return the log line of a request."""
        assert request_id
        return self.proxy.wait_for(lambda line: line.get("request_id") == request_id)

    def refusal(self, since: int) -> dict[str, Any]:
        """Return the first refused request from line ``since`` on."""
        return self.proxy.wait_for(lambda line: line["event"] == "request.refused" and "folded" not in line, since)


def required(path: str, upstream: str = "app", trust: str = "cdn", **more: object) -> dict[str, Any]:
    """Make a route that requires a certificate."""
    return {"path": path, "trust": trust, "upstream": upstream, **more}


ALL_FAMILIES: Final = ["rfc9440", "xfcc", "alb", "nginx"]

ROUTES: Final[Sequence[Mapping[str, Any]]] = (
    required("/"),
    {"path": "/public/", "client_certificate": "none", "upstream": "app", "identity_headers": ALL_FAMILIES},
    {**required("/maybe/"), "client_certificate": "optional", "identity_headers": ["nginx"]},
    required("/partners/", trust="partners"),
    required("/small/", max_body="1KiB"),
    required("/families/", identity_headers=ALL_FAMILIES),
    required("/bare/", identity_headers=[]),
)


@contextmanager
def gateway(
    folder: Path,
    upstreams: Mapping[str, Any] | None = None,
    routes: Sequence[Mapping[str, Any]] = (),
    **sections: object,
) -> Iterator[Gateway]:
    """Run a gateway with further upstreams and routes; ``sections`` of the configuration replace the defaults."""
    authorities = {name: Authority.root(f"{name} CA") for name in ("cdn", "partners", "rogue")}
    for name, authority in authorities.items():
        authority.write(folder / f"{name}.pem")
    write_server(folder / "tls")
    hosts = [
        {"names": [ZONE, f"other.{ZONE}"], "certificate": TLS, "routes": [*ROUTES, *routes]},
        {"names": [f"narrow.{ZONE}"], "certificate": TLS, "routes": [required("/only/")]},
    ]
    with App() as app:
        given = {
            "trust": {name: {"anchors": [f"{name}.pem"]} for name in ("cdn", "partners")},
            "upstreams": {"app": {"servers": [f"http://127.0.0.1:{app.port}"]}, **(upstreams or {})},
            **sections,
        }
        with running(write_config(folder, document(app.port, hosts, **given))) as proxy:
            yield Gateway(folder, proxy, app, **authorities)


def held_up(sock: socket.socket) -> bool:
    """Tell whether nothing can be written to a socket for a while."""
    return not select.select([], [sock], [], STALL)[1]


def free_port() -> int:
    """Return a port of the loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def resident(pid: int) -> int:
    """Return a process's resident memory in octets."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
