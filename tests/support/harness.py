"""A real proxy in a process of its own, a real PKI, and raw clients and origins to hold against it."""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from OpenSSL import SSL

from proxy.operate.demo.pki import Credential

PATIENCE = 10.0
"""Seconds that a test waits for what must come; nothing is ever slept for."""


class ProxyProcess:
    """``originward run CONFIG`` as a child; its log comes over standard output, line by line.

    ``before`` is a command that executes the one behind it; ``options`` are those of ``subprocess.Popen``.
    """

    def __init__(
        self, config: Path, before: Sequence[str] = (), environment: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        self.lines: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "proxy", "run", str(config)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **(environment or {})}, **options,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        started = self.wait_for(lambda line: line["event"] == "started")
        self.ports = [int(address.rsplit(":", 1)[1]) for address in started["listen"]]
        self.admin_port: int | None = started.get("admin_port")

    @property
    def port(self) -> int:
        """The port of the first listener."""
        return self.ports[0]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            line = json.loads(raw)
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], since: int = 0) -> dict[str, Any]:
        """Return the first log line from number ``since`` on that is ``wanted``; fail with the log if none comes."""
        deadline = time.monotonic() + PATIENCE
        seen = since
        with self._news:
            while True:
                while seen < len(self.lines):
                    if wanted(self.lines[seen]):
                        return self.lines[seen]
                    seen += 1
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._reader.is_alive()):
                    break
                self._news.wait(left)
        errors = ""
        if self.process.poll() is not None and self.process.stderr is not None:
            errors = self.process.stderr.read().decode()
        raise AssertionError(f"no such line in {self.lines[since:]}; stderr: {errors}")

    def reason(self, event: str, since: int = 0) -> str:
        """Return the reason of the first ``event`` from line ``since`` on."""
        return str(self.wait_for(lambda line: line["event"] == event and "folded" not in line, since)["reason"])

    def mark(self) -> int:
        """Return where the log stands now, for ``since``."""
        with self._news:
            return len(self.lines)

    def metrics(self) -> str:
        """Return the text of /metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the proxy and wait for its end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._reader.join(PATIENCE)
            for pipe in (self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()


@contextmanager
def running(config: Path) -> Iterator[ProxyProcess]:
    """Run a proxy for the length of a block; it has to end by itself, with status 0."""
    proxy = ProxyProcess(config)
    try:
        yield proxy
    finally:
        status = proxy.stop()
    assert status == 0


class TlsClient:
    """A TLS client over pyOpenSSL: what it sends is exactly what the test says; alerts have their names.

    ``error`` is OpenSSL's text of the handshake's failure (such as ``tlsv13 alert certificate required``), also where
    TLS 1.3 reports it with the first read.
    """

    def __init__(
        self, port: int, sni: str | None, credential: Credential | None = None, *, tls12: bool = False,
        prepare: Callable[[SSL.Context], None] | None = None, alpn: list[bytes] | None = None,
        source: str = "127.0.0.1",
    ) -> None:  # fmt: skip
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if tls12:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
        if credential is not None:
            context.use_certificate(credential.certificate)
            for issuer in credential.chain[1:]:
                context.add_extra_chain_cert(issuer)
            context.use_privatekey(credential.key)
        if alpn is not None:
            context.set_alpn_protos(alpn)
        if prepare is not None:
            prepare(context)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0))
        self.tls = SSL.Connection(context, None)
        if sni is not None:
            self.tls.set_tlsext_host_name(sni.encode())
        self.tls.set_connect_state()
        self.error: str | None = None
        self.closed = False

    def handshake(self) -> TlsClient:
        """Shake hands; a refusal ends up in ``error``."""
        try:
            self._drive(self.tls.do_handshake)
        except SSL.Error as fault:
            self.error = _text(fault)
        except OSError as fault:
            self.error = f"{type(fault).__name__}"
        return self

    def send(self, data: bytes) -> None:
        """Send plain octets."""
        self._drive(lambda: self.tls.send(data))
        self._flush()

    def read(self) -> bytes:
        """Return what comes next, b"" at the end; an alert ends up in ``error``."""
        try:
            return bytes(self._drive(lambda: self.tls.recv(65536)))
        except SSL.ZeroReturnError:
            self.closed = True
        except SSL.Error as fault:
            self.error = _text(fault)
        except OSError as fault:
            self.error = f"{type(fault).__name__}"
        return b""

    def read_all(self) -> bytes:
        """Return everything up to the end."""
        pieces = []
        while piece := self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def read_until(self, end: bytes) -> bytes:
        """Return everything up to and with ``end``, or up to the end of the stream."""
        data = b""
        while end not in data and (piece := self.read()):
            data += piece
        return data

    def response(self, method: str = "GET") -> Response:
        """Read one response with a length, a chunked body, or none."""
        head = self.read_until(b"\r\n\r\n")
        head, _, body = head.partition(b"\r\n\r\n")
        response = Response.parse(head)
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            response.body = body
        elif response.header("transfer-encoding") == "chunked":
            while not body.endswith(b"0\r\n\r\n") and (piece := self.read()):
                body += piece
            response.body = body
        else:
            length = int(response.header("content-length") or "0")
            while len(body) < length and (piece := self.read()):
                body += piece
            response.body = body
        return response

    def get(self, path: str, host: str, **headers: str) -> Response:
        """Send a GET and read its response."""
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode())
        return self.response()

    def close(self) -> None:
        """Close without ado."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _drive(self, call: Callable[[], Any]) -> Any:
        while True:
            try:
                result = call()
            except SSL.WantReadError:
                self._flush()
                data = self.socket.recv(65536)
                if not data:
                    raise StreamCutError from None
                self.tls.bio_write(data)
            except SSL.Error:
                self._flush()
                raise
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        while True:
            try:
                pending = self.tls.bio_read(65536)
            except SSL.WantReadError:
                return
            self.socket.sendall(pending)


class StreamCutError(OSError):
    """The peer closed without close_notify."""


def _text(fault: SSL.Error) -> str:
    entries = fault.args[0] if fault.args else []
    return "; ".join(str(entry[-1]) for entry in entries) or type(fault).__name__


@dataclass
class Response:
    """A response as it came."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes = b""

    @classmethod
    def parse(cls, head: bytes) -> Response:
        """Read a head without its empty line."""
        first, *rest = head.decode("latin-1").split("\r\n")
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in rest)]
        return cls(int(first.split(" ")[1]) if first else 0, fields)

    def header(self, name: str) -> str | None:
        """Return the first field of that lower-case name."""
        return next((value for key, value in self.fields if key == name), None)


@dataclass
class Seen:
    """A request as the origin saw it, to the octet."""

    raw: bytes
    body: bytes

    @property
    def method(self) -> str:
        """The first word of the request line."""
        return self.raw.split(b" ")[0].decode()

    @property
    def path(self) -> str:
        """The second word of the request line."""
        return self.raw.split(b" ")[1].decode()

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The header fields, names in lower case."""
        return Response.parse(b"X 0\r\n" + self.raw.partition(b"\r\n")[2].removesuffix(b"\r\n\r\n")).fields

    def header(self, name: str) -> str | None:
        """Return the first field of that lower-case name."""
        return next((value for key, value in self.fields if key == name), None)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
Script = Callable[[socket.socket, "RawOrigin"], None]


class RawOrigin:
    """An app on a real socket that follows a script, one thread per connection; what it saw is in ``seen``.

    The default script answers every request with 200 and a small body.
    """

    def __init__(self, script: Script | None = None) -> None:
        self.seen: queue.Queue[Seen] = queue.Queue()
        self.connections = 0
        self._script = script or serve_ok
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._script(connection, self)
            except OSError:
                return  # the proxy closed first, which scripts may provoke

    def next(self) -> Seen:
        """Return the next request that arrived."""
        return self.seen.get(timeout=PATIENCE)

    def close(self) -> None:
        """Stop listening and close what is open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()
        self._thread.join(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def read_request(connection: socket.socket, held: bytes = b"") -> tuple[Seen | None, bytes]:
    """Read one request with its body; return it with what came after, or None at the end of the stream."""
    data = held
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None, b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    seen = Seen(head + b"\r\n\r\n", b"")
    if seen.header("transfer-encoding") == "chunked":
        while not rest.endswith(b"0\r\n\r\n"):
            piece = connection.recv(65536)
            if not piece:
                break
            rest += piece
        return Seen(seen.raw, rest), b""
    length = int(seen.header("content-length") or "0")
    while len(rest) < length:
        piece = connection.recv(65536)
        if not piece:
            break
        rest += piece
    return Seen(seen.raw, rest[:length]), rest[length:]


def requests_on(connection: socket.socket) -> Iterator[Seen]:
    """Read one request after the other, until the stream ends."""
    held = b""
    while True:
        seen, held = read_request(connection, held)
        if seen is None:
            return
        yield seen


def serve_ok(connection: socket.socket, origin: RawOrigin) -> None:
    """Answer every request with 200."""
    for seen in requests_on(connection):
        origin.seen.put(seen)
        connection.sendall(OK)


def readable(sock: socket.socket, seconds: float) -> bool:
    """Tell whether something comes within ``seconds``."""
    return bool(select.select([sock], [], [], seconds)[0])
