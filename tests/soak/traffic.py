"""Steady traffic from a process of its own: kept connections and new ones, each request at its time.

``python -m tests.soak.traffic PORT CREDENTIAL`` sends until its standard input ends, and writes a line of JSON for each
request: when it was due, how long its answer took from then on, its kind, and what failed.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.site import ZONE

KEPT: Final = 8
"""Connections that are kept."""

NEW: Final = 4
"""Clients that connect anew for each request."""

KEPT_INTERVAL: Final = 0.04
NEW_INTERVAL: Final = 0.1
"""Seconds between two requests of a client: 240 a second in all, well below what one core serves."""

PATIENCE: Final = 10.0
REQUEST: Final = f"GET /soak HTTP/1.1\r\nHost: {ZONE}\r\n\r\n".encode()


@dataclass(frozen=True, slots=True)
class Sent:
    """A request: when it was due (monotonic seconds), its seconds from then to the answer, its kind and its fault."""

    due: float
    seconds: float
    kind: str
    fault: str


def context(folder: Path) -> ssl.SSLContext:
    """Return a context that shows the credential in ``folder``; the server is not what is tested."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return made


def connect(port: int, shown: ssl.SSLContext) -> ssl.SSLSocket:
    """Connect and shake hands."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return shown.wrap_socket(raw, server_hostname=ZONE)


def ask(connection: ssl.SSLSocket) -> str:
    """Send a request and read its small answer; return what failed of it."""
    connection.sendall(REQUEST)
    data = b""
    while not data.endswith(b"ok\n"):
        piece = connection.recv(65_536)
        if not piece:
            return f"ended after {data[:60]!r}"
        data += piece
    return "" if data.startswith(b"HTTP/1.1 200") else repr(data[:60])


class Client(threading.Thread):
    """Sends a request every ``interval`` seconds, late ones at once."""

    def __init__(self, port: int, shown: ssl.SSLContext, interval: float, *, keep: bool) -> None:
        super().__init__(daemon=True)
        self._port, self._shown, self._interval, self._keep = port, shown, interval, keep
        self._connection: ssl.SSLSocket | None = None

    def run(self) -> None:
        """Send until the process ends."""
        due = time.monotonic()
        while True:
            time.sleep(max(0.0, due - time.monotonic()))
            fault = self._once()
            line = [due, time.monotonic() - due, "kept" if self._keep else "new", fault]
            sys.stdout.write(json.dumps(line) + "\n")
            due = max(due + self._interval, time.monotonic() - 1)

    def _once(self) -> str:
        try:
            self._connection = self._connection or connect(self._port, self._shown)
            fault = ask(self._connection)
        except OSError as failed:
            fault = f"{type(failed).__name__}: {failed}"
        if (fault or not self._keep) and self._connection is not None:
            self._connection.close()
            self._connection = None
        return fault


class Traffic:
    """The process that sends, from the outside."""

    def __init__(self, port: int, credential: Path) -> None:
        self.sent: list[Sent] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.traffic", str(port), str(credential)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.sent.append(Sent(*json.loads(line)))

    def within(self, start: float, end: float) -> list[Sent]:
        """Return the requests that were due, or under way, between two times."""
        return [one for one in self.sent if one.due < end and one.due + one.seconds >= start]

    def end(self) -> None:
        """Send no more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)


def quantile(sent: Sequence[Sent], share: float) -> float:
    """Return the milliseconds that ``share`` of the answered requests took at most."""
    taken = sorted(one.seconds for one in sent if not one.fault)
    return taken[min(len(taken) - 1, int(share * len(taken)))] * 1e3 if taken else float("nan")


def main(port: str, credential: str) -> None:
    """Send until standard input ends."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    shown = context(Path(credential))
    for keep, clients, interval in ((True, KEPT, KEPT_INTERVAL), (False, NEW, NEW_INTERVAL)):
        for _ in range(clients):
            Client(int(port), shown, interval, keep=keep).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
