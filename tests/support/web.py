"""A web server on real sockets, with or without TLS: it serves what it is told to, and fails in every way one can."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from typing import Final, Self

from tests.support.harness import PATIENCE, Seen, read_request

PIECE: Final = 1 << 16
DRIP: Final = 0.02
"""Seconds between the octets of a slow server."""


@dataclass
class Call:
    """One request, and the connection to answer it on; ``over`` is set when the server ends."""

    seen: Seen
    connection: socket.socket
    over: threading.Event

    def say(self, octets: bytes) -> None:
        """Send octets."""
        self.connection.sendall(octets)

    def linger(self) -> None:
        """Say nothing more until the client hangs up, or the server ends."""
        while not self.over.is_set():
            with suppress(TimeoutError):
                self.connection.settimeout(DRIP)
                if not self.connection.recv(PIECE):
                    return


Answer = Callable[[Call], None]


class Web:
    """Serves ``answers`` by path, 404 elsewhere; one connection takes one request. ``seen`` are all requests."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[Seen] = []
        self._tls = tls
        self._change = threading.Condition()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start()

    def url(self, path: str = "/ca.crl") -> str:
        """Return the address of a path."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}{path}"

    def count(self, path: str) -> int:
        """Return how many requests there were for a path."""
        return sum(seen.path == path for seen in self.seen)

    def wait_for(self, path: str, number: int = 1) -> Seen:
        """Wait for the request with this number for a path."""
        with self._change:
            came = self._change.wait_for(lambda: self.count(path) >= number, PATIENCE)
        assert came, f"{self.count(path)} requests for {path}, not {number}"
        return [seen for seen in self.seen if seen.path == path][number - 1]

    def close(self) -> None:
        """End, as a crash does: every connection is cut, and new ones are refused."""
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def restart(self) -> None:
        """Listen again, on the same port."""
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._threads = []
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _start(self) -> None:
        self._run(self._accept)

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            self._run(lambda connection=connection: self._serve(connection))  # type: ignore[misc]

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain:
            plain.settimeout(PATIENCE)
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with connection:
                seen, _ = read_request(connection)
                if seen is not None:
                    self._answer(Call(seen, connection, self._over))
        self._open.discard(plain)

    def _answer(self, call: Call) -> None:
        with self._change:
            self.seen.append(call.seen)
            self._change.notify_all()
        self.answers.get(call.seen.path, status(404))(call)


def _head(line: str, length: int | None, **fields: str | None) -> bytes:
    found = {"Content-Length": None if length is None else str(length), **fields, "Connection": "close"}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in found.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {line}", *lines, "", ""]).encode()


# --- servers that do as they should


def body(
    octets: bytes, etag: str | None = None, modified: str | None = None, kind: str = "application/pkix-crl"
) -> Answer:
    """Serve octets; with validators, 304 to whoever has them already."""

    def answer(call: Call) -> None:
        same_tag = etag is not None and call.seen.header("if-none-match") == etag
        same_date = modified is not None and call.seen.header("if-modified-since") == modified
        if same_tag or (etag is None and same_date):
            call.say(_head("304 Not Modified", None, ETag=etag, Last_Modified=modified))
        else:
            call.say(_head("200 OK", len(octets), ETag=etag, Last_Modified=modified, Content_Type=kind) + octets)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """Answer each request by the next one; the last one is for all that follow."""
    numbers = count()

    def answer(call: Call) -> None:
        answers[min(next(numbers), len(answers) - 1)](call)

    return answer


def redirect(location: str, code: int = 302) -> Answer:
    """Send elsewhere."""
    return lambda call: call.say(_head(f"{code} Found", 0, Location=location))


# --- and servers that fail


def status(code: int, words: str = "Trouble") -> Answer:
    """Answer with a status, and with a body where there can be one."""
    text = b"" if code == HTTPStatus.NOT_MODIFIED else b"no\n"
    return lambda call: call.say(_head(f"{code} {words}", len(text)) + text)


def silence() -> Answer:
    """Take the request, and never answer."""
    return Call.linger


def drip(octets: bytes) -> Answer:
    """Answer octet by octet, so slowly that every pause is short and the whole has no end."""

    def answer(call: Call) -> None:
        call.say(_head("200 OK", len(octets)))
        for octet in octets:
            if call.over.wait(DRIP):
                return
            call.say(bytes((octet,)))

    return answer


def endless() -> Answer:
    """Answer without an end and without a length."""

    def answer(call: Call) -> None:
        call.say(_head("200 OK", None))
        while not call.over.is_set():
            call.say(bytes(PIECE))

    return answer


def endless_head() -> Answer:
    """Send fields without an end."""

    def answer(call: Call) -> None:
        call.say(b"HTTP/1.1 200 OK\r\n")
        for number in count():
            call.say(b"X-%d: %s\r\n" % (number, b"x" * 1000))

    return answer


def cut(octets: bytes, announced: int | None = None) -> Answer:
    """Close the connection after ``octets`` of a longer body."""
    length = len(octets) + 1 if announced is None else announced
    return lambda call: call.say(_head("200 OK", length) + octets)


def chunked_cut(octets: bytes) -> Answer:
    """Close the connection in the middle of a chunked body."""
    head = _head("200 OK", None, Transfer_Encoding="chunked")
    return lambda call: call.say(head + b"%x\r\n%s\r\n" % (len(octets), octets))


def too_much(octets: bytes, announced: int) -> Answer:
    """Send more than was announced."""
    return lambda call: call.say(_head("200 OK", announced) + octets)


def bomb(octets: int) -> Answer:
    """Answer with zeros, compressed to a thousandth, asked for or not."""
    packed = gzip.compress(bytes(octets))
    return lambda call: call.say(_head("200 OK", len(packed), Content_Encoding="gzip") + packed)


def garbage() -> Answer:
    """Answer in no protocol at all."""
    return lambda call: call.say(b"\x00\x01 what?\r\n\r\n")


def hang_up() -> Answer:
    """Close the connection without a word."""
    return lambda _call: None
