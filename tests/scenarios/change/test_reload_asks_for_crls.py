"""A reload that somebody asks for fetches the CRLs too: a revocation counts now, not after ``refresh``."""

from __future__ import annotations

import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.operate.demo.pki import Credential
from tests.support.crl_site import CrlSite, crl_site
from tests.support.harness import PATIENCE, ProxyProcess, TlsClient, running
from tests.support.refusals import alert_of
from tests.support.site import ZONE


@pytest.fixture
def place(tmp_path: Path) -> Iterator[CrlSite]:
    """Write a site whose CRL is asked for once an hour."""
    with crl_site(tmp_path, refresh="1h", timeout="5s") as site:
        yield site


def hang_up(proxy: ProxyProcess) -> None:
    """Ask by signal."""
    proxy.process.send_signal(signal.SIGHUP)


def post(proxy: ProxyProcess) -> None:
    """Ask at the admin address, as ``originward reload`` does."""
    url = f"http://127.0.0.1:{proxy.admin_port}/reload"
    request = urllib.request.Request(url, method="POST", headers={"Originward-Command": "reload"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - http, above
        assert answer.status == 200


def is_revoked(proxy: ProxyProcess, credential: Credential) -> bool:
    """Tell whether a new connection of a client ends with the alert for that."""
    with TlsClient(proxy.port, ZONE, credential) as client:
        return alert_of(client) == "certificate_revoked"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("ask", [hang_up, post])
def test_who_is_revoked_is_out_after_a_reload(
    place: CrlSite, ask: Callable[[ProxyProcess], None], workers: int
) -> None:
    """In every worker, and also where no file has changed: there is one line of the reload, and one of the CRL."""
    place.config.write_text(place.config.read_text() + f"\nworkers: {workers}\n")
    place.serve(1)
    with running(place.config) as proxy, TlsClient(proxy.port, ZONE, place.credential).handshake() as open_one:
        assert open_one.get("/", ZONE).status == 200
        place.serve(2, place.credential)
        ask(proxy)
        proxy.wait_for(lambda line: line["event"] == "reload.unchanged")
        proxy.wait_for(lambda line: line["event"] == "crl.updated" and line["crl_number"] == "2")
        proxy.wait_for(lambda line: line["event"] == "connection.withdrawn")
        assert open_one.read_all() == b""
        assert all(is_revoked(proxy, place.credential) for _ in range(4 * workers))


def test_a_file_that_changes_makes_nobody_ask(place: CrlSite) -> None:
    """A reload by itself is no sign of a revocation; servers of CRLs are asked in their time."""
    place.serve(1)
    with running(place.config) as proxy:
        place.config.write_text(place.config.read_text() + "\nlimits: {connections: 100}\n")
        line = proxy.wait_for(lambda line: line["event"] == "reload.done")
        assert (line["trigger"], place.server.count("/ca.crl")) == ("watch", 1)
        place.serve(2)
        post(proxy)
        proxy.wait_for(lambda line: line["event"] == "crl.updated" and line["crl_number"] == "2")
        assert place.server.count("/ca.crl") == 2
