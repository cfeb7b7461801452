"""A refresh of CRLs at work: its configuration, who puts in force what comes, and a log that can be waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import uvloop
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.control.crl_refresh import CrlRefresh
from proxy.control.fetch import Fetcher
from proxy.control.offload import Offload
from proxy.control.planes import PublishError, Settled
from proxy.decide.peer.needs import CrlNeed
from proxy.observe.metrics import Metrics
from proxy.operate.demo.pki import Authority
from proxy.snapshot.cache_choice import Places
from proxy.snapshot.crls import open_file
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from tests.support.crls import make_crl
from tests.support.harness import PATIENCE
from tests.support.site import small_site
from tests.support.web import Web

T = TypeVar("T")
NEVER: Final = "1h"
"""A refresh that no test waits for."""


class Lines:
    """A log that remembers its lines, and tells that there is a new one."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.news = asyncio.Event()

    def write(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        """Take a line."""
        self.lines.append({"event": event, "level": level, **{k: v for k, v in fields.items() if v is not None}})
        self.news.set()


@dataclass
class Stage:
    """A refresh with all that it works with; ``settled`` is what it told, ``fail`` makes it fail to publish."""

    refresh: CrlRefresh
    log: Lines
    metrics: Metrics
    prepared: Prepared
    generation: int = 1
    fail: bool = False
    settled: list[Mapping[bytes, Settled]] = field(default_factory=list)
    begun: bool = False
    go: asyncio.Event | None = None

    async def change(self, alter: Callable[[Prepared], Prepared]) -> int:
        """Put another generation in force, as the control plane does; with ``go``, once it is set."""
        if self.go is not None:
            self.begun = True
            self.log.news.set()
            await self.go.wait()
        if self.fail:
            raise PublishError("a worker does not answer")
        prepared = alter(self.prepared)
        self.generation += prepared is not self.prepared
        self.prepared = prepared
        self.log.news.set()
        return self.generation

    def settle(self, outcomes: Mapping[bytes, Settled]) -> None:
        """Take what needs ended in."""
        self.settled.append(outcomes)
        self.log.news.set()

    async def until(self, wanted: Callable[[], T]) -> T:
        """Wait until something is true, and return it."""
        async with asyncio.timeout(PATIENCE):
            while not (found := wanted()):
                self.log.news.clear()
                await self.log.news.wait()
        return found

    async def line(self, event: str, number: int = 1) -> dict[str, Any]:
        """Wait for the line of an event with this number."""
        await self.until(lambda: len(self.of(event)) >= number)
        return self.of(event)[number - 1]

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of an event."""
        return [line for line in self.log.lines if line["event"] == event]

    @property
    def numbers(self) -> list[tuple[int | None, int]]:
        """The number and the count of entries of each CRL in force that was fetched."""
        (bundle,) = self.prepared.unpack_bundles()
        assert bundle.revocation is not None
        return [(crl.number, len(crl)) for crl in map(open_file, bundle.revocation.fetched)]


@dataclass
class Site:
    """A configuration in a folder, and who signs for it."""

    folder: Path
    config: Path
    cdn: Authority
    offload: Offload

    def prepare(self) -> Prepared:
        """Read it."""
        (self.folder / "cache").mkdir(exist_ok=True, mode=0o700)
        return prepare(self.config, time.time(), Places())

    def run(self, work: Callable[[Stage], Coroutine[Any, Any, T]], *, strict: bool = False) -> T:
        """Run a refresh of it as long as ``work`` takes."""

        async def whole() -> T:
            fetcher = Fetcher(connect_seconds=1.0)
            log, metrics = Lines(), Metrics()
            refresh = CrlRefresh(fetcher, self.offload, log, metrics)  # type: ignore[arg-type]
            stage = Stage(refresh, log, metrics, self.prepare())
            refresh.attach(stage.change, stage.settle)
            try:
                stage.prepared = await refresh.complete(stage.prepared, strict=strict)
                return await work(stage)
            finally:
                await refresh.close()
                await fetcher.close()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(whole())

    def crl(self, number: int, *serials: int, by: Authority | None = None, **options: Any) -> bytes:
        """Make a CRL, an hour old unless it is said otherwise."""
        options = {"this_update": time.time() - 3600, **options}
        return make_crl(by or self.cdn, dict.fromkeys(serials, 1), number=number, **options)


def make_site(folder: Path, offload: Offload, **crl: Any) -> Site:
    """Write a configuration with these settings of CRLs."""
    settings = {"refresh": NEVER, "timeout": "5s", **crl}
    trust = {"cdn": {"anchors": ["cdn.pem"], "revocation": {"check": "leaf", "crl": settings}}}
    config, cdn = small_site(folder, 1, trust=trust, cache={"directory": "cache"})
    return Site(folder, config, cdn, offload)


def need(site: Site, *urls: str) -> CrlNeed:
    """Make the need of a client of the site's authority."""
    issuer = site.cdn.certificate.public_bytes(Encoding.DER)
    return CrlNeed("cdn", urls, "ab" * 32, 0, (issuer,))


def following(folder: Path, offload: Offload, server: Web) -> Site:
    """Write a configuration that follows certificates to a server."""
    return make_site(folder, offload, sources=["cdp"], allow_hosts=[f"localhost:{server.port}"])
