"""Several workers: one instance to whoever looks from outside, whatever happens to one of its processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.operate.demo.pki import Authority, Leaf
from tests.support.harness import PATIENCE, ProxyProcess, RawOrigin, TlsClient
from tests.support.load import Load
from tests.support.processes import accepted, await_gone, children, metric, workers_of
from tests.support.site import ZONE, small_site


@contextmanager
def crew(folder: Path, workers: int = 2, **sections: Any) -> Iterator[tuple[ProxyProcess, RawOrigin, Authority]]:
    """Run an instance of several workers, which the test may stop."""
    with RawOrigin() as origin:
        config, cdn = small_site(folder, origin.port, workers=workers, **sections)
        proxy = ProxyProcess(config)
        try:
            yield proxy, origin, cdn
        finally:
            proxy.stop()


def test_all_serve_and_their_counters_are_one_sum(tmp_path: Path) -> None:
    """The kernel deals connections; the metrics do not tell who had them."""
    with crew(tmp_path) as (proxy, _, cdn):
        assert sorted(workers_of(proxy)) == ["originward-1", "originward-2"]
        edge = cdn.issue(Leaf(subject="edge"))
        clients = [TlsClient(proxy.port, ZONE, edge).handshake() for _ in range(16)]
        assert [client.get("/", ZONE).status for client in clients for _ in range(2)] == [200] * 32
        assert len(set(accepted(proxy, 16))) == 2
        assert metric(proxy, "originward_connections_open") == 16
        assert metric(proxy, "originward_connections_total") == 16
        assert metric(proxy, f'originward_requests_total{{code_class="2xx",host="{ZONE}",route="/"}}') == 32
        assert metric(proxy, "originward_handshake_seconds_count") == 16
        assert metric(proxy, "originward_config_generation") == 1
        for client in clients:
            client.close()
        assert proxy.stop() == 0
    assert [line["event"] for line in proxy.lines][-2:] == ["draining", "stopped"]


def test_a_worker_that_is_killed_takes_its_own_connections_and_no_others(tmp_path: Path) -> None:
    """Nobody is refused meanwhile, it is replaced at once, the log says why, and its counters stay in the sums."""
    with crew(tmp_path) as (proxy, origin, cdn):
        edge = cdn.issue(Leaf(subject="edge"))
        clients = [TlsClient(proxy.port, ZONE, edge).handshake() for _ in range(12)]
        assert {client.get("/", ZONE).status for client in clients} == {200}
        before = metric(proxy, "originward_connections_total")
        victim = workers_of(proxy)["originward-1"]
        held = accepted(proxy, 12)
        os.kill(victim, signal.SIGKILL)
        died = proxy.wait_for(lambda line: line["event"] == "worker.died")
        assert (died["worker"], died["pid"]) == (1, victim)
        assert died["detail"].startswith("killed by SIGKILL; if nobody did that")
        assert died["restart_in"] == 0
        outcomes = [client.get("/", ZONE).status if not closed(client) else 0 for client in clients]
        assert sorted([outcomes.count(0), outcomes.count(200)]) == sorted(held.count(prefix) for prefix in set(held))
        assert died["connections"] == outcomes.count(0)
        with TlsClient(proxy.port, ZONE, edge).handshake() as client:
            assert client.get("/", ZONE).status == 200
        proxy.wait_for(lambda line: line["event"] == "worker.started" and line["worker"] == 1)
        assert metric(proxy, "originward_worker_deaths_total") == 1
        assert metric(proxy, "originward_connections_total") == before + 1
        assert metric(proxy, "originward_connections_open") == outcomes.count(200)
        assert origin.connections


def closed(client: TlsClient) -> bool:
    """Tell whether the other end is gone without a word."""
    client.socket.setblocking(False)
    try:
        return not client.socket.recv(1)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        client.socket.settimeout(PATIENCE)


def test_under_load_a_killed_worker_refuses_nobody(tmp_path: Path) -> None:
    """Whoever connects is served; only who was in the middle of something is cut."""
    with crew(tmp_path) as (proxy, _, cdn):
        load = Load(proxy.port, cdn.issue(Leaf(subject="edge")))
        try:
            load.goes_on(20)
            for _ in range(3):
                mark = proxy.mark()
                os.kill(next(iter(workers_of(proxy).values())), signal.SIGKILL)
                proxy.wait_for(lambda line: line["event"] == "worker.died", mark)
                load.goes_on_whatever_fails(20)
        finally:
            load.end()
        assert [fault for fault in load.failed if "Refused" in fault] == []
        assert len(load.failed) <= 3 * 4


def test_no_worker_outlives_its_supervisor(tmp_path: Path) -> None:
    """However it ends, nor does its helper; and the port is free again."""
    with crew(tmp_path) as (proxy, _, _cdn):
        processes = children(proxy.process.pid)
        assert set(processes) > set(workers_of(proxy).values())
        proxy.process.kill()
        proxy.process.wait()
        await_gone(*processes)
        with pytest.raises(ConnectionRefusedError):
            TlsClient(proxy.port, ZONE)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_cuts_all_workers(second: signal.Signals, tmp_path: Path) -> None:
    """The first one drains: whoever has come is answered once."""
    with crew(tmp_path) as (proxy, _, cdn):
        edge = cdn.issue(Leaf(subject="edge"))
        waiting = [TlsClient(proxy.port, ZONE, edge).handshake() for _ in range(8)]
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.wait_for(lambda line: line["event"] == "draining")["connections"] == 8
        assert waiting[0].get("/", ZONE).header("connection") == "close"
        proxy.process.send_signal(second)
        assert proxy.process.wait(PATIENCE) == 0
        assert proxy.wait_for(lambda line: line["event"] == "stopped")["connections_cut"] == 7


def test_a_signal_to_the_whole_group_is_the_supervisors_business(tmp_path: Path) -> None:
    """Ctrl-C in a terminal, and systemd's KillMode=control-group, reach the workers, too."""
    with crew(tmp_path) as (proxy, _, cdn):
        with TlsClient(proxy.port, ZONE, cdn.issue(Leaf(subject="edge"))).handshake() as client:
            for worker in workers_of(proxy).values():
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
                    os.kill(worker, number)
            assert client.get("/", ZONE).status == 200
        assert proxy.stop() == 0
        assert [line for line in proxy.lines if line["event"] == "worker.died"] == []
