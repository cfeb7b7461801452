"""Under a service manager: it owns the sockets, it is told how things are, and a replacement refuses nobody."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.operate.demo.pki import Leaf
from tests.support.harness import PATIENCE, ProxyProcess, RawOrigin, TlsClient
from tests.support.manager import manager, start_with
from tests.support.site import ZONE, small_site


@pytest.mark.parametrize("workers", [1, 2])
def test_a_handed_over_socket_outlives_the_proxy(workers: int, tmp_path: Path) -> None:
    """Who connects while there is no proxy waits in the queue, and is served by the next one."""
    with RawOrigin() as origin, socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        port = listening.getsockname()[1]
        listen = [{"address": f"127.0.0.1:{port}"}]
        config, cdn = small_site(tmp_path, origin.port, listen=listen, workers=workers)
        edge = cdn.issue(Leaf(subject="edge"))
        first = start_with(config, [listening])
        with TlsClient(port, ZONE, edge).handshake() as client:
            assert client.get("/", ZONE).status == 200
        assert first.stop() == 0
        with TlsClient(port, ZONE, edge) as waiting:
            second = start_with(config, [listening])
            assert second.ports == [port]
            assert waiting.handshake().get("/", ZONE).status == 200
        assert second.stop() == 0


def test_a_socket_that_the_configuration_does_not_know_ends_the_start(tmp_path: Path) -> None:
    """With both sides in the message."""
    config, _ = small_site(tmp_path, 9, listen=[{"address": "127.0.0.1:8443"}])
    with socket.create_server(("127.0.0.2", 0)) as listening:
        code = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
        code += "os.execv(sys.executable, [sys.executable, '-m', 'proxy', 'run', sys.argv[2]])"
        ended = subprocess.run(
            [sys.executable, "-c", code, str(listening.fileno()), str(config)], pass_fds=[listening.fileno()],
            env={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "edge", "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
    assert ended.returncode == 2
    assert "listen: 127.0.0.1:8443 was not handed over by the service manager; it hands over 127.0.0.2:" in ended.stderr
    assert "(edge)" in ended.stderr


def test_the_manager_hears_when_it_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    """READY comes when connections are taken; signs of life come as often as it asks."""
    with RawOrigin() as origin, manager(tmp_path) as listening:
        config, cdn = small_site(tmp_path / "site", origin.port)
        proxy = ProxyProcess(config, (), {"NOTIFY_SOCKET": listening.path, "WATCHDOG_USEC": "100000"})
        assert listening.wait_for("READY")["STATUS"] == "generation 1"
        with TlsClient(proxy.port, ZONE, cdn.issue(Leaf(subject="edge"))).handshake() as client:
            assert client.get("/", ZONE).status == 200
        for _ in range(3):
            listening.wait_for("WATCHDOG")
        assert proxy.stop() == 0
        assert listening.wait_for("STOPPING")["STATUS"] == "draining"


def test_a_proxy_that_hangs_gives_no_sign_of_life(tmp_path: Path) -> None:
    """So that it is ended and started anew."""
    with manager(tmp_path) as listening:
        config, _ = small_site(tmp_path / "site", 9)
        proxy = ProxyProcess(config, (), {"NOTIFY_SOCKET": listening.path, "WATCHDOG_USEC": "100000"})
        listening.wait_for("WATCHDOG")
        proxy.process.send_signal(signal.SIGSTOP)
        while "State:\tT" not in Path(f"/proc/{proxy.process.pid}/status").read_text():
            continue
        while listening.pending():
            continue
        assert not listening.pending(0.3)
        proxy.process.send_signal(signal.SIGCONT)
        listening.wait_for("WATCHDOG")
        assert proxy.stop() == 0
