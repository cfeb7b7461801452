"""Told to stop, the proxy lets what is in flight finish, takes nobody new, and comes to an end."""

from __future__ import annotations

import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.operate.demo.pki import Authority, Leaf
from tests.support.harness import OK, PATIENCE, ProxyProcess, RawOrigin, TlsClient, requests_on
from tests.support.site import ZONE, small_site


class SlowOrigin(RawOrigin):
    """An app that answers ``/slow`` when it is told to, and everything else at once."""

    def __init__(self) -> None:
        self.answer_now = threading.Event()
        super().__init__(self._serve_slowly)

    def _serve_slowly(self, connection: socket.socket, _origin: RawOrigin) -> None:
        for seen in requests_on(connection):
            self.seen.put(seen)
            if seen.raw.startswith(b"GET /slow "):
                self.answer_now.wait(PATIENCE)
            connection.sendall(OK)


@contextmanager
def stopping(folder: Path, drain_timeout: str) -> Iterator[tuple[ProxyProcess, SlowOrigin, Authority]]:
    """Run a proxy that the test itself stops."""
    with SlowOrigin() as origin:
        config, cdn = small_site(folder, origin.port, limits={"drain_timeout": drain_timeout})
        proxy = ProxyProcess(config)
        try:
            yield proxy, origin, cdn
        finally:
            origin.answer_now.set()
            proxy.stop()


def ask_slowly(proxy: ProxyProcess, origin: SlowOrigin, cdn: Authority) -> TlsClient:
    """Send a request that the app has and does not answer yet."""
    client = TlsClient(proxy.port, ZONE, cdn.issue(Leaf(subject="edge"))).handshake()
    client.send(f"GET /slow HTTP/1.1\r\nHost: {ZONE}\r\n\r\n".encode())
    origin.next()
    return client


def terminate(proxy: ProxyProcess) -> None:
    """Send SIGTERM, and wait until it has had its effect."""
    proxy.process.send_signal(signal.SIGTERM)
    proxy.wait_for(lambda line: line["event"] == "draining")


def health(proxy: ProxyProcess, page: str) -> tuple[int, str]:
    """Return what the admin page answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}{page}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def test_a_request_in_flight_finishes_and_the_idle_go_at_once(tmp_path: Path) -> None:
    """The idle client gets its close_notify, the busy one its answer with Connection: close; nobody new gets in."""
    with stopping(tmp_path, "30s") as (proxy, origin, cdn):
        assert health(proxy, "/readyz") == (200, "ready\n")
        with TlsClient(proxy.port, ZONE, cdn.issue(Leaf(subject="idle"))).handshake() as idle:
            assert idle.get("/", ZONE).status == 200
            origin.next()
            busy = ask_slowly(proxy, origin, cdn)
            terminate(proxy)
            assert idle.read() == b""
            assert idle.closed
        assert health(proxy, "/readyz") == (503, "draining\n")
        assert health(proxy, "/healthz") == (200, "ok\n")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
        origin.answer_now.set()
        response = busy.response()
        assert (response.status, response.body, response.header("connection")) == (200, b"ok\n", "close")
        assert busy.read() == b""
        assert busy.closed
        busy.close()
        assert proxy.process.wait(PATIENCE) == 0
        assert proxy.wait_for(lambda line: line["event"] == "stopped")["connections_cut"] == 0


def test_the_limit_ends_a_request_that_does_not(tmp_path: Path) -> None:
    """When the time is up the rest is cut, without a close_notify that would pass the answer off as complete."""
    with stopping(tmp_path, "1s") as (proxy, origin, cdn), ask_slowly(proxy, origin, cdn) as busy:
        terminate(proxy)
        assert busy.read_all() == b""
        assert not busy.closed
        assert proxy.process.wait(PATIENCE) == 0
        assert proxy.wait_for(lambda line: line["event"] == "stopped")["connections_cut"] == 1


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_cuts_at_once(second: signal.Signals, tmp_path: Path) -> None:
    """Who insists does not wait for the limit; also a handshake in progress ends."""
    with stopping(tmp_path, "1h") as (proxy, origin, cdn), ask_slowly(proxy, origin, cdn) as busy:
        with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as silent:
            while "originward_handshakes_in_progress 1" not in proxy.metrics():
                continue
            terminate(proxy)
            proxy.process.send_signal(second)
            assert silent.recv(1) == b""
        assert busy.read_all() == b""
        assert proxy.process.wait(PATIENCE) == 0
        assert proxy.wait_for(lambda line: line["event"] == "stopped")["connections_cut"] == 2


def test_who_was_let_in_before_the_drain_is_answered_once(tmp_path: Path) -> None:
    """A handshake was in progress when the signal came: its client gets one answer, and is told that it is the last."""
    with stopping(tmp_path, "30s") as (proxy, origin, cdn), ask_slowly(proxy, origin, cdn) as busy:
        with TlsClient(proxy.port, ZONE, cdn.issue(Leaf(subject="late"))) as late:
            while "originward_handshakes_in_progress 1" not in proxy.metrics():
                continue
            terminate(proxy)
            response = late.handshake().get("/", ZONE)
            assert (response.status, response.header("connection")) == (200, "close")
            assert late.read() == b""
            assert late.closed
        origin.answer_now.set()
        assert busy.response().status == 200
        assert proxy.process.wait(PATIENCE) == 0
