"""Where the soak takes place: an instance with its files, an app, the traffic, and the report."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.operate.demo.pki import Authority, Credential, Leaf
from tests.soak.traffic import Traffic
from tests.support.crls import crl_now
from tests.support.harness import OK, ProxyProcess, RawOrigin, requests_on
from tests.support.site import TLS, ZONE, document, required, write_config, write_server

HOUR = 3600.0
MEMBER = f"member.{ZONE}"
"""A name that the policy asks for once it is tightened."""


@dataclass
class Report:
    """What was promised, whether it was kept, and the figures."""

    broken: int = 0

    def promise(self, what: str, figures: str, *, kept: bool) -> None:
        """Print a line."""
        self.broken += not kept
        print(f"{'ok    ' if kept else 'BROKEN'}  {what}: {figures}", flush=True)  # noqa: T201 - this is the report


@dataclass
class Place:
    """An instance under traffic, and the authorities whose certificates it takes."""

    folder: Path
    proxy: ProxyProcess
    workers: int
    cdn: Authority
    old: Authority
    traffic: Traffic
    report: Report
    settings: dict[str, Any]
    crl_number: int = 1
    _issued: list[Credential] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self.proxy.process.pid

    @property
    def processes(self) -> int:
        """How many it is when nothing changes: those that serve, a supervisor of several, and their helper."""
        return 2 if self.workers == 1 else self.workers + 2

    def edge(self, subject: str, authority: Authority | None = None, **more: Any) -> Credential:
        """Issue a client's certificate."""
        leaf = Leaf(subject=subject, **{"dns": (MEMBER,), **more})
        return (authority or self.cdn).issue(leaf)

    def replace(self, name: str, contents: bytes) -> float:
        """Replace a file by a rename, and return the time at which it was there."""
        fresh = self.folder / f".{Path(name).name}.new"
        fresh.write_bytes(contents)
        fresh.rename(self.folder / name)
        return time.monotonic()

    def revoke(self, *credentials: Credential) -> float:
        """Replace the CRL, and return the time at which it was there."""
        self.crl_number += 1
        return self.replace("cdn.crl", crl_now(self.cdn, self.crl_number, *credentials))

    def configure(self, **sections: Any) -> float:
        """Replace sections of the configuration, and return the time at which they were there."""
        self.settings.update(sections)
        fresh = write_config(self.folder / "aside", self.settings)
        fresh.rename(self.folder / fresh.name)
        return time.monotonic()

    def reloaded(self, since: int) -> dict[str, Any]:
        """Wait for a reload that changed something, or failed to; who asks besides finds nothing new."""
        return self.proxy.wait_for(lambda line: line["event"] in ("reload.done", "reload.failed"), since)

    def failures(self, start: float, end: float) -> list[str]:
        """Return what failed of the traffic between two times."""
        return [f"{one.kind}: {one.fault}" for one in self.traffic.within(start, end) if one.fault]


def answer(connection: socket.socket, _origin: RawOrigin) -> None:
    """Answer every request, and remember none."""
    for _ in requests_on(connection):
        connection.sendall(OK)


def hosts(**policy: Any) -> list[dict[str, Any]]:
    """Return the one host."""
    return [{"names": [ZONE], "certificate": TLS, "routes": [required(**policy)]}]


@contextmanager
def place(folder: Path, workers: int, report: Report) -> Iterator[Place]:
    """Run an instance under traffic for the length of a block."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cdn, old = Authority.root("CDN CA"), Authority.root("Old CA")
    for name in ("anchors", "aside"):
        (folder / name).mkdir()
    cdn.write(folder / "cdn.pem")
    old.write(folder / "anchors" / "old.pem")
    Authority.root("More CA").write(folder / "anchors" / "more.pem")
    (folder / "cdn.crl").write_bytes(crl_now(cdn, 1))
    write_server(folder / "tls")
    cdn.issue(Leaf(subject="traffic", dns=(MEMBER,))).write(folder / "traffic")
    revocation = {"check": "leaf", "crl": {"sources": ["cdn.crl"], "when_missing": "allow"}}
    with RawOrigin(answer) as origin:
        settings = document(
            origin.port, hosts(), workers=workers, limits={"idle_timeout": "1h", "connections": 20_000},
            trust={"cdn": {"anchors": ["cdn.pem", "anchors/"], "revocation": revocation}},
        )  # fmt: skip
        proxy = ProxyProcess(write_config(folder, settings))
        traffic = Traffic(proxy.port, folder / "traffic")
        try:
            yield Place(folder, proxy, workers, cdn, old, traffic, report, settings)
        finally:
            traffic.end()
            if proxy.process.poll() is None:
                os.kill(proxy.process.pid, 15)
            proxy.stop()
