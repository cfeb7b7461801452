"""An OCSP fetcher with what is around it in a control plane: a loop, a table of answers, a log and a cache."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import trustme
import uvloop

from proxy.control.fetch import Fetcher
from proxy.control.ocsp_fetch import OcspFetch
from proxy.control.ocsp_report import Report
from proxy.control.ocsp_saved import SavedAnswers
from proxy.control.planes import Settled
from proxy.decide.peer.answers import Answers, Outcome
from proxy.decide.peer.needs import OcspNeed
from proxy.observe.log import Log, open_log
from proxy.observe.ocsp import OcspMetrics
from proxy.snapshot.cache import Cache
from tests.support.certificates import NOW
from tests.support.harness import PATIENCE

T = TypeVar("T")
ROOTS: Final = trustme.CA().cert_pem.bytes().decode()
"""Of https responders; the tests have none."""


@dataclass
class Asker:
    """Asks, and waits for what comes; ``told`` is every outcome in its order, ``now`` the wall clock's time."""

    log: Log
    answers: Answers = field(default_factory=Answers)
    metrics: OcspMetrics = field(default_factory=OcspMetrics)
    told: list[tuple[bytes, Outcome]] = field(default_factory=list)
    now: float = NOW
    fetch: OcspFetch = field(init=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def settle(self, outcomes: Mapping[bytes, Settled]) -> None:
        """Take outcomes, as the data plane does."""
        for key, settled in outcomes.items():
            self.answers.put(key, settled.outcome)
            self.told.append((key, settled.outcome))
        self._news.set()

    async def until(self, come: Callable[[], bool]) -> None:
        """Wait until what was told suffices."""
        async with asyncio.timeout(PATIENCE):
            while not come():
                self._news.clear()
                await self._news.wait()

    async def ask(self, *needs: OcspNeed) -> list[Outcome]:
        """Ask, and return the last outcome of each once each has one more than before."""
        start = len(self.told)
        self.fetch.ask(needs)
        wanted = {need.key for need in needs}
        await self.until(lambda: wanted <= {key for key, _ in self.told[start:]})
        last = dict(self.told[start:])
        return [last[need.key] for need in needs]

    def outcomes(self, need: OcspNeed) -> list[Outcome]:
        """Return all that was told of one need."""
        return [outcome for key, outcome in self.told if key == need.key]


def asking(work: Callable[[Asker], Coroutine[Any, Any, T]], folder: Path, cache: Cache | None = None) -> T:
    """Work with an asker, whose log is in ``folder``."""

    async def whole() -> T:
        log = open_log(folder / "log")
        asker = Asker(log)
        saved = None if cache is None else SavedAnswers(cache)
        asker.fetch = OcspFetch(
            Fetcher(ROOTS), asker.answers, asker.settle, Report(log, asker.metrics, lambda: asker.now), saved=saved,
            clock=lambda: asker.now,
        )  # fmt: skip
        try:
            return await work(asker)
        finally:
            await asker.fetch.close()
            log.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


def lines(folder: Path, events: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the log's lines, of certain events if any are named."""
    wanted = set(events)
    found = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [line for line in found if not wanted or line["event"] in wanted]
