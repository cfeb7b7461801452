"""Ten thousand clients, each with a certificate of its own, and an OCSP responder that is dead: `python -m bench.ocsp`.

It measures what a bundle in soft mode promises: the responder's time-out is waited for once, questions under way are
bounded, and so is memory. Every handshake is a full one, over TCP, and every client gets its answer from the app.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import yaml
from OpenSSL import SSL

from bench.processes import Tree
from proxy.operate.demo.pki import SERVER, Authority, Credential, Leaf, ec_key

HOST: Final = "origin.bench.test"
TIMEOUT: Final = 2
"""Seconds for the responder: the default."""

REQUEST: Final = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
PIECE: Final = 65_536


@dataclass
class Listener:
    """A server: it answers requests with ``answer``, or never where that is empty; ``peak`` is its most at once."""

    answer: bytes
    total: int = 0
    now: int = 0
    peak: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self) -> int:
        """Start, and return the port."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    def _accept(self, listener: socket.socket) -> None:
        while True:
            threading.Thread(target=self._keep, args=(listener.accept()[0],), daemon=True).start()

    def _keep(self, connection: socket.socket) -> None:
        with self.lock:
            self.total, self.now = self.total + 1, self.now + 1
            self.peak = max(self.peak, self.now)
        with connection:
            while connection.recv(PIECE):
                if self.answer:
                    connection.sendall(self.answer)
        with self.lock:
            self.now -= 1


@contextmanager
def proxy(folder: Path, configuration: dict[str, Any]) -> Iterator[tuple[int, Tree, Path]]:
    """Run the proxy; yield its port, its processes and its log."""
    file, log = folder / "originward.yaml", folder / "log"
    file.write_text(yaml.safe_dump(configuration))
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "proxy", "run", str(file)], stdout=output)
    try:
        started = None
        while started is None and process.poll() is None:
            lines = (json.loads(line) for line in log.read_bytes().splitlines(keepends=True) if line.endswith(b"\n"))
            started = next((line for line in lines if line["event"] == "started"), None)
            time.sleep(0.05)
        if started is None:
            raise RuntimeError("the proxy did not start")
        yield int(started["listen"][0].rpartition(":")[2]), Tree(process.pid), log
    finally:
        process.terminate()
        process.wait()


def visit(port: int, credential: Credential) -> float:
    """Shake hands, get the page, and return the seconds that it took."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.use_certificate(credential.certificate)
    context.use_privatekey(credential.key)
    since = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        plain.settimeout(None)
        tls = SSL.Connection(context, plain)
        tls.set_tlsext_host_name(HOST.encode())
        tls.set_connect_state()
        tls.do_handshake()
        tls.sendall(REQUEST)
        head = tls.recv(PIECE)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"refused: {head[:60]!r}")
    return time.perf_counter() - since


def configure(folder: Path, origin: int, responder: int, mode: str) -> tuple[dict[str, Any], Authority]:
    """Write the PKI; return the configuration and the clients' authority."""
    clients = Authority.root("Bench Clients")
    clients.write(folder / "clients.pem")
    Authority.root("Bench Server").issue(Leaf(subject=HOST, dns=(HOST,), eku=SERVER)).write(folder / "tls")
    ocsp = {"mode": mode, "responder": f"http://127.0.0.1:{responder}/", "timeout": f"{TIMEOUT}s"}
    revocation = {"revocation": {"check": "leaf", "ocsp": ocsp}} if mode != "none" else {}
    return {
        "listen": [{"address": "127.0.0.1:0"}],
        "trust": {"clients": {"anchors": ["clients.pem"], **revocation}},
        "upstreams": {"app": {"servers": [f"http://127.0.0.1:{origin}"]}},
        "hosts": [{
            "names": [HOST], "certificate": {"chain": "tls/chain.pem", "key": "tls/key.pem"},
            "routes": [{"path": "/", "trust": "clients", "upstream": "app"}],
        }],
    }, clients  # fmt: skip


def measure(clients: int, threads: int, mode: str) -> dict[str, float]:
    """Let all clients visit; return the figures."""
    responder, origin = Listener(b""), Listener(ANSWER)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        configuration, authority = configure(folder, origin.serve(), responder.serve(), mode)
        key = ec_key()
        shown = [authority.issue(Leaf(subject=f"client {number}", key=key)) for number in range(clients)]
        with proxy(folder, configuration) as (port, tree, log), ThreadPoolExecutor(threads) as pool:
            before = tree.memory_kb()
            seconds = sorted(pool.map(lambda credential: visit(port, credential), shown))
            grown = tree.memory_kb() - before
        waits = [json.loads(line).get("waited_ms", 0.0) for line in log.read_bytes().splitlines()]
    return {
        "clients": clients,
        "median_ms": 1000 * median(seconds),
        "slowest_ms": 1000 * seconds[-1],
        "slower_than_time_out": sum(second >= TIMEOUT for second in seconds),
        "longest_wait_ms": max(waits),
        "waited_over_100_ms": sum(wait > 100 for wait in waits),
        "responder_requests": responder.total,
        "responder_at_once": responder.peak,
        "memory_grown_kb": grown,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure soft mode beside no revocation at all, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.ocsp", description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=32)
    options = parser.parse_args(arguments)
    for mode in ("none", "soft"):
        figures = measure(options.clients, options.threads, mode)
        sys.stdout.write(f"{mode:5}" + "  ".join(f"{name}={value:,.0f}" for name, value in figures.items()) + "\n")


if __name__ == "__main__":
    main()
