"""CRL roster: which sources elsewhere are kept up to date. Some are listed in the configuration, some named by clients.

What the configuration lists comes and goes with it. What certificates name comes with the first client, and goes when
none needs it, or another one needs the room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Coroutine, Iterable, Iterator
from typing import Final

from proxy.control.crl_overlay import is_followed, terms_of
from proxy.control.crl_source import CrlSource, Terms, Tools
from proxy.control.keeping import Keeping
from proxy.decide.peer.needs import CrlNeed
from proxy.observe.metrics import Metrics
from proxy.snapshot.cache import Cache
from proxy.snapshot.config_trust import CrlConfig
from proxy.snapshot.crls import CrlFile
from proxy.snapshot.prepared import Prepared

MAX_NAMED: Final = 256
"""Sources that certificates name: AWS Private CA opens a partition for each million certificates."""

UNUSED: Final = 24 * 3600.0
"""Seconds after which a source goes whose certificates nobody has shown: whoever comes daily finds it there."""


class Roster:
    """The sources of one instance; ``live`` is what each does until it goes."""

    def __init__(self, tools: Tools, metrics: Metrics, live: Callable[[Keeping], Coroutine[None, None, None]]) -> None:
        self._tools = tools
        self._metrics = metrics
        self._live = live
        self._listed: dict[Terms, Keeping] = {}
        self._named: dict[tuple[str, bytes], Keeping] = {}

    def __iter__(self) -> Iterator[Keeping]:
        yield from (*self._listed.values(), *self._named.values())

    def list_all(self, prepared: Prepared) -> list[Keeping]:
        """Take up what a configuration lists, and return those that are new."""
        new = []
        for terms in terms_of(prepared):
            if terms not in self._listed:
                counts = self._metrics.crl_source(terms.bundle, terms.urls[0])
                keeping = Keeping(CrlSource(terms, self._tools, prepared.cache), counts)
                new.append(keeping)
                self._listed[terms] = self._begin(keeping)
        return new

    def strike(self, keepings: Iterable[Keeping]) -> None:
        """Let go of some that were listed."""
        for keeping in keepings:
            del self._listed[keeping.source.terms]
            self._end(keeping)

    def keep_only(self, wanted: Container[Terms]) -> None:
        """Let go of what is listed no more."""
        self.strike([keeping for terms, keeping in self._listed.items() if terms not in wanted])

    def find(self, need: CrlNeed) -> Keeping | None:
        """Return the source that a certificate names, if it was taken up."""
        return self._named.get((need.bundle, need.key))

    def take_up(self, need: CrlNeed, terms: Terms, cache: Cache | None) -> Keeping | None:
        """Take up a source that a certificate names; None where there is no room."""
        if len(self._named) >= MAX_NAMED and not self._make_room():
            return None
        counts = self._metrics.crl_source(need.bundle, need.urls[0])
        keeping = Keeping(CrlSource(terms, self._tools, cache), counts, self._tools.clock(), is_late=True)
        self._named[need.bundle, need.key] = self._begin(keeping)
        return keeping

    def is_out_of_use(self, keeping: Keeping) -> bool:
        """Tell whether no client has shown a certificate that names it for long."""
        return self._tools.clock() - keeping.used_at > UNUSED

    def forget(self, keeping: Keeping) -> None:
        """Let go of a source that certificates named, within its own task, which goes on to its end."""
        keeping.task = None
        self._named = {key: other for key, other in self._named.items() if other is not keeping}
        self._end(keeping)

    def files_of(self, prepared: Prepared, name: str, config: CrlConfig) -> Iterator[CrlFile]:
        """Yield the CRLs of a bundle: of the addresses that it names, and of those that its certificates do."""
        for terms in terms_of(prepared):
            if terms.bundle == name and terms in self._listed:
                yield from self._listed[terms].source.files
        for (bundle, _), keeping in self._named.items():
            if bundle == name and is_followed(config, keeping.source.terms.urls):
                yield from keeping.source.files

    async def close(self) -> None:
        """End all tasks."""
        tasks = [keeping.task for keeping in self if keeping.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, keeping: Keeping) -> Keeping:
        keeping.task = _start(self._live(keeping))
        return keeping

    def _make_room(self) -> bool:
        """Let the source go that nobody has used for the longest, if it brought nothing or is out of use."""
        idle = [pair for pair in self._named.items() if pair[1].source.good is None and not pair[1].needs]
        idle = idle or [pair for pair in self._named.items() if self.is_out_of_use(pair[1])]
        if not idle:
            return False
        key, keeping = min(idle, key=lambda pair: pair[1].used_at)
        del self._named[key]
        self._end(keeping)
        return True

    def _end(self, keeping: Keeping) -> None:
        """Stop asking a source that is no longer listed or named."""
        if keeping.task is not None:
            keeping.task.cancel()
        if all(other.counts is not keeping.counts for other in self):
            self._metrics.forget_crl_source(keeping.source.terms.bundle, keeping.source.terms.urls[0])


def _start(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Start a task whose end by a fault is told to the loop's handler."""
    loop = asyncio.get_running_loop()

    def tell(task: asyncio.Task[None]) -> None:
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            loop.call_exception_handler({"message": "CRLs of a source are no longer refreshed", "exception": fault})

    task = loop.create_task(work)
    task.add_done_callback(tell)
    return task
