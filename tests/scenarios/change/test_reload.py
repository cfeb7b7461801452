"""A reload: what was changed counts for the next connection, whoever asked, and nothing else changes."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.operate.demo.pki import Authority, Leaf
from tests.support.harness import PATIENCE, ProxyProcess, RawOrigin, TlsClient, running
from tests.support.site import ZONE, required, small_site

ROOT = Path(__file__).parents[3]


class Place:
    """A running proxy, its files, and the authority that it anchors."""

    def __init__(self, config: Path, proxy: ProxyProcess, cdn: Authority) -> None:
        self.config = config
        self.proxy = proxy
        self.cdn = cdn
        self.other = Authority.root("Other CA")

    def status(self, authority: Authority) -> int:
        """Return the answer that a new client of an authority gets; 0 where the handshake refuses it."""
        with TlsClient(self.proxy.port, ZONE, authority.issue(Leaf(dns=("edge.example",)))).handshake() as client:
            return client.get("/", ZONE).status if client.error is None else 0

    def reloaded(self, act: Callable[[], object], event: str = "reload.done") -> dict[str, Any]:
        """Act, and return the line of the reload that follows."""
        mark = self.proxy.mark()
        act()
        return self.proxy.wait_for(lambda line: line["event"] == event, mark)


@pytest.fixture
def origin() -> Iterator[RawOrigin]:
    """Run an app."""
    with RawOrigin() as running_origin:
        yield running_origin


def place(folder: Path, origin: RawOrigin, **sections: object) -> tuple[Path, Authority]:
    """Write a site whose bundle is a folder of anchors."""
    config, cdn = small_site(folder, origin.port, required(), trust={"cdn": {"anchors": ["anchors/"]}}, **sections)
    (folder / "anchors").mkdir()
    cdn.write(folder / "anchors" / "cdn.pem")
    return config, cdn


def test_a_folder_that_gains_an_anchor_admits_its_clients(tmp_path: Path, origin: RawOrigin) -> None:
    """Nobody has to be told: the file is noticed, and the line says what it is."""
    config, cdn = place(tmp_path, origin)
    with running(config) as proxy:
        here = Place(config, proxy, cdn)
        assert here.status(here.other) == 0
        line = here.reloaded(lambda: here.other.write(tmp_path / "anchors" / "other.pem"))
        assert (line["generation"], line["trigger"]) == (2, "watch")
        assert line["added"][0].startswith("anchor cdn: CN=Other CA sha256:")
        assert (here.status(here.other), here.status(cdn)) == (200, 200)
        line = here.reloaded((tmp_path / "anchors" / "cdn.pem").unlink)
        assert line["removed"][0].startswith("anchor cdn: CN=CDN CA sha256:")
        assert here.status(cdn) == 0
        assert "originward_config_generation 3.0" in proxy.metrics()


def hang_up(here: Place) -> None:
    """Ask by signal."""
    here.proxy.process.send_signal(signal.SIGHUP)


def command(here: Place) -> None:
    """Ask by the command."""
    admin = f"127.0.0.1:{here.proxy.admin_port}"
    run = [sys.executable, "-m", "proxy", "reload", str(here.config), "--admin", admin]
    assert subprocess.run(run, cwd=ROOT, timeout=PATIENCE, check=False).returncode == 0


def post(here: Place) -> None:
    """Ask at the admin address."""
    url = f"http://127.0.0.1:{here.proxy.admin_port}/reload"
    request = urllib.request.Request(url, method="POST", headers={"Originward-Command": "reload"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - http, above
        assert answer.status == 200


@pytest.mark.parametrize("ask", [hang_up, command, post])
def test_whoever_asks_is_obeyed(tmp_path: Path, origin: RawOrigin, ask: Callable[[Place], None]) -> None:
    """Also where nobody watches the files; without a change it is a line, and no generation."""
    config, cdn = place(tmp_path, origin, reload={"watch": False})
    with running(config) as proxy:
        here = Place(config, proxy, cdn)
        assert here.reloaded(lambda: ask(here), "reload.unchanged")["generation"] == 1
        here.other.write(tmp_path / "anchors" / "other.pem")
        assert here.reloaded(lambda: ask(here))["generation"] == 2
        assert here.status(here.other) == 200


def test_a_policy_a_certificate_and_a_limit_are_named(tmp_path: Path, origin: RawOrigin) -> None:
    """Each by what a person would look for."""
    config, cdn = place(tmp_path, origin, reload={"watch": False})
    with running(config) as proxy:
        here = Place(config, proxy, cdn)
        text = config.read_text()
        config.write_text(
            text.replace("path: /", "path: /\n    policy: {san_dns: [other.example]}") + "limits: {head: 8KiB}"
        )
        line = here.reloaded(lambda: hang_up(here))
        assert any(part.startswith(f"policy {ZONE}/ san_dns: ") for part in line["added"])
        assert "limit head: 32768 -> 8192" in line["changed"]
        assert here.status(cdn) == 0


EARLY = """
import os, signal, sys
from proxy.supervise.signals import HangUps
HangUps()
os.kill(os.getpid(), signal.SIGHUP)
from proxy.__main__ import main
sys.exit(main(["run", sys.argv[1]]))
"""
"""A start that hears the signal before anything else."""


def test_hanging_up_early_or_often_ends_nothing(tmp_path: Path, origin: RawOrigin) -> None:
    """While it starts, while it reloads, and while it drains."""
    config, _ = place(tmp_path, origin)
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    run = [sys.executable, "-c", EARLY, str(config)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, b"")
        assert any(b'"started"' in line for line in lines)
        for _ in range(20):
            process.send_signal(signal.SIGHUP)
        assert any(b'"reload.unchanged"' in line for line in lines)
        process.terminate()
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE) == 0
