"""A change reaches all workers of an instance, or none of them, and whoever is started later."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.operate.demo.pki import Authority, Leaf
from tests.support.harness import ProxyProcess, RawOrigin, TlsClient
from tests.support.manager import Manager, manager
from tests.support.processes import metric, workers_of
from tests.support.site import ZONE, required, small_site

MANY = 12
"""Connections: that none of two workers gets one is as good as impossible."""


@contextmanager
def two_workers(folder: Path) -> Iterator[tuple[ProxyProcess, Path, Authority, Manager]]:
    """Run two workers whose bundle is a folder of anchors; files are not watched."""
    with RawOrigin() as origin, manager(folder) as listening:
        trust = {"cdn": {"anchors": ["anchors/"]}}
        config, cdn = small_site(
            folder / "site", origin.port, required(), trust=trust, workers=2, reload={"watch": False}
        )  # fmt: skip
        anchors = config.parent / "anchors"
        anchors.mkdir()
        cdn.write(anchors / "cdn.pem")
        proxy = ProxyProcess(config, (), {"NOTIFY_SOCKET": listening.path})
        listening.wait_for("READY")
        try:
            yield proxy, anchors, cdn, listening
        finally:
            assert proxy.stop() == 0


def connected(proxy: ProxyProcess, authority: Authority) -> list[TlsClient]:
    """Open many connections with certificates of an authority, spread over the workers."""
    credential = authority.issue(Leaf(subject="edge"))
    return [TlsClient(proxy.port, ZONE, credential).handshake() for _ in range(MANY)]


def reload(proxy: ProxyProcess, event: str) -> None:
    """Send SIGHUP, and wait for what comes of it."""
    mark = proxy.mark()
    proxy.process.send_signal(signal.SIGHUP)
    proxy.wait_for(lambda line: line["event"] == event, mark)


def test_a_reload_is_in_force_everywhere_and_the_manager_hears_of_it(tmp_path: Path) -> None:
    """Also in a worker that takes another's place afterwards."""
    with two_workers(tmp_path) as (proxy, anchors, _, listening):
        other = Authority.root("Other CA")
        assert not any(client.read() for client in connected(proxy, other))
        other.write(anchors / "other.pem")
        reload(proxy, "reload.done")
        listening.wait_for("RELOADING")
        assert listening.wait_for("READY")["STATUS"] == "generation 2"
        assert {client.get("/", ZONE).status for client in connected(proxy, other)} == {200}
        assert metric(proxy, "originward_config_generation") == 2
        mark = proxy.mark()
        os.kill(workers_of(proxy)["originward-1"], signal.SIGKILL)
        assert proxy.wait_for(lambda line: line["event"] == "worker.started", mark)["generation"] == 2
        assert {client.get("/", ZONE).status for client in connected(proxy, other)} == {200}


def test_a_broken_file_changes_nothing_anywhere(tmp_path: Path) -> None:
    """And the metrics of all say that it happened."""
    with two_workers(tmp_path) as (proxy, anchors, cdn, _):
        (anchors / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\n")
        reload(proxy, "reload.failed")
        assert {client.get("/", ZONE).status for client in connected(proxy, cdn)} == {200}
        assert metric(proxy, "originward_config_last_reload_successful") == 0
        assert metric(proxy, "originward_config_generation") == 1


def test_connections_that_are_no_longer_admitted_are_closed_in_every_worker(tmp_path: Path) -> None:
    """Those of others notice nothing."""
    with two_workers(tmp_path) as (proxy, anchors, cdn, _):
        other = Authority.root("Other CA")
        other.write(anchors / "other.pem")
        reload(proxy, "reload.done")
        going, staying = connected(proxy, other), connected(proxy, cdn)
        assert {client.get("/", ZONE).status for client in (*going, *staying)} == {200}
        (anchors / "other.pem").unlink()
        reload(proxy, "reload.done")
        assert [client.read() for client in going] == [b""] * MANY
        assert {client.get("/", ZONE).status for client in staying} == {200}
        assert metric(proxy, 'originward_connections_withdrawn_total{reason="untrusted-issuer"}') == MANY


def test_the_number_of_workers_takes_a_restart(tmp_path: Path) -> None:
    """Sockets are opened once; the reload says so, and the rest of the change waits."""
    with two_workers(tmp_path) as (proxy, anchors, _, _listening):
        config = anchors.parent / "originward.yaml"
        config.write_text(config.read_text().replace("workers: 2", "workers: 3"))
        mark = proxy.mark()
        proxy.process.send_signal(signal.SIGHUP)
        line = proxy.wait_for(lambda line: line["event"] == "reload.failed", mark)
        assert line["problems"] == ["workers: 2 -> 3 takes a restart; the rest of the change waits for it, too"]
        assert len(workers_of(proxy)) == 2
