"""CRL refresh: keeps the CRLs of all sources elsewhere up to date, and has each newer one put in force.

Each source has a task of its own that asks, waits and asks again. What several bring at the same time comes into force
with one generation. Sources that clients' certificates name come with the first client, and go when none needs them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxy.control.crl_overlay import named_terms, overlaid, terms_of
from proxy.control.crl_roster import MAX_NAMED, Roster
from proxy.control.crl_source import Tools, Trouble
from proxy.control.fetch import Fetcher
from proxy.control.keeping import Keeping, describe, written
from proxy.control.offload import Offload
from proxy.control.pace import after_failure, after_success
from proxy.control.planes import PublishError, Settled
from proxy.decide.peer.answers import Failure, Fault
from proxy.decide.peer.needs import CrlNeed
from proxy.observe.log import Log
from proxy.observe.metrics import Metrics
from proxy.snapshot.prepared import Prepared
from proxy.snapshot.problems import ConfigError, Problem

MAX_AT_ONCE: Final = 4
"""Sources that are asked at a time: their CRLs may be large, and two are checked at a time."""

BUSY_SECONDS: Final = 60.0
"""Until a certificate's CRL is asked for again that found no room, or could not be put in force."""

Change = Callable[[Callable[[Prepared], Prepared]], Awaitable[int]]
"""Puts in force what the function makes of what is, unless it is the same; raises PublishError."""

Settle = Callable[[Mapping[bytes, Settled]], None]
"""Tells whoever waits how needs ended."""


class CrlRefresh:
    """Refreshes the CRLs of one instance, once it is attached to what puts them in force.

    ``chance`` gives numbers from 0 up to 1. All methods are for the loop's thread.
    """

    def __init__(
        self, fetcher: Fetcher, offload: Offload, log: Log, metrics: Metrics,
        *, clock: Callable[[], float] = time.time, chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._change: Change
        self._settled: Settle = lambda _outcomes: None
        self._attached = asyncio.Event()
        self._tools = Tools(fetcher, offload, clock)
        self._log = log
        self._metrics = metrics
        self._chance = chance
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)
        self._roster = Roster(self._tools, metrics, self._live)
        self._prepared: Prepared | None = None
        self._publishing = asyncio.Lock()
        self._owes = False

    def attach(self, change: Change, settle: Settle) -> None:
        """Have newer CRLs put in force by ``change``, and tell ``settle`` how needs ended."""
        self._change, self._settled = change, settle
        self._attached.set()

    async def complete(self, prepared: Prepared, *, strict: bool = True) -> Prepared:
        """Return ``prepared`` with the CRLs of all its sources, fetching those that are new and were not kept.

        Raises ConfigError where such a one cannot be had and ``strict`` is set, as for a reload; a start goes on. Both
        wait no longer than one attempt may take.
        """
        self._tools.fetcher.trust(prepared.roots)
        new = self._roster.list_all(prepared)
        await _all_begun(new)
        problems = [_problem(prepared, keeping) for keeping in new if keeping.source.good is None]
        if strict and problems:
            self._roster.strike(new)
            raise ConfigError(problems)
        for keeping in new:
            keeping.is_late = not keeping.begun.is_set()
        return self._overlaid(prepared)

    def ask(self, needs: Sequence[CrlNeed]) -> None:
        """Fetch the CRLs that certificates name, or note that they are in use; each need ends in ``settle``."""
        for need in needs:
            keeping = self._roster.find(need) or self._take_up(need)
            if isinstance(keeping, Failure):
                self._settle_later(need, keeping)
                continue
            keeping.used_at = self._tools.clock()
            if keeping.source.good is None or keeping.is_busy:  # what has come is not in force before it is published
                if keeping.task is not None and not keeping.is_busy:
                    keeping.wake.set()
                keeping.needs[need.fingerprint] = need
            else:
                self._settle_later(need, self._unforced(keeping))

    def hurry(self) -> None:
        """Ask all sources now, without waiting for their time: somebody has just revoked a certificate."""
        for keeping in self._roster:
            keeping.wake.set()

    async def close(self) -> None:
        """End all tasks."""
        await self._roster.close()

    def _take_up(self, need: CrlNeed) -> Keeping | Failure:
        """Take up a source that a certificate names, if it is allowed and there is room."""
        url, prepared = need.urls[0], self._prepared
        terms = None if prepared is None else named_terms(prepared, need)
        if terms is None or prepared is None:
            return self._failure(Fault.HOST_NOT_ALLOWED, "the configuration does not allow it any more", url)
        keeping = self._roster.take_up(need, terms, prepared.cache)
        return keeping or self._failure(Fault.BUSY, f"{MAX_NAMED} other CRLs are kept up to date", url)

    # --- a source's life

    async def _begin(self, keeping: Keeping) -> None:
        """Take what was kept; where nothing was, ask."""
        trouble = await keeping.source.restore()
        if trouble is not None:
            self._tell(keeping, trouble, None)
        if keeping.source.good is None:
            await self._ask(keeping)
        else:
            self._log.write("crl.restored", **describe(keeping.source, keeping.source.good))

    async def _live(self, keeping: Keeping) -> None:
        """Begin with a source, put in force what it has where nobody waits for that, and go on."""
        await self._begin(keeping)
        keeping.begun.set()
        if keeping.is_late and keeping.source.files:
            await self._publish()
        self._announce(keeping)
        self._settle(keeping)
        await self._run(keeping)

    async def _run(self, keeping: Keeping) -> None:
        """Ask again and again, when it is time or when somebody waits; at once where only what was kept is there."""
        wait = self._pause(keeping) if keeping.is_asked else 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await keeping.wake.wait()
            if self._roster.is_out_of_use(keeping):
                await self._forget(keeping)
                return
            keeping.wake.clear()
            await self._ask(keeping)
            if keeping.is_news or self._owes:
                await self._publish()
            self._announce(keeping)
            self._settle(keeping)
            wait = self._pause(keeping)

    async def _forget(self, keeping: Keeping) -> None:
        """Let a source go that no client's certificate has named for long."""
        self._roster.forget(keeping)
        terms = keeping.source.terms
        self._log.write("crl.forgotten", bundle=terms.bundle, source=terms.urls[0])
        await self._publish()

    async def _ask(self, keeping: Keeping) -> None:
        source = keeping.source
        before = source.files
        keeping.is_busy = True
        async with self._turns:
            troubles = await source.ask()
        keeping.pause = None
        for trouble in troubles:
            self._tell(keeping, trouble, self._pause(keeping))
        keeping.is_news = keeping.is_news or source.files != before
        keeping.count(troubles, updated=source.files != before)

    def _pause(self, keeping: Keeping) -> float:
        """Return how long to wait for the next attempt; the same until there was one."""
        if keeping.pause is None:
            source, refresh = keeping.source, keeping.source.terms.refresh
            if source.failures or source.next_update is None:
                keeping.pause = after_failure(refresh, max(1, source.failures), self._chance())
            else:
                keeping.pause = after_success(refresh, source.next_update - self._tools.clock(), self._chance())
        return keeping.pause

    # --- what comes of it

    def _tell(self, keeping: Keeping, trouble: Trouble, wait: float | None) -> None:
        source = keeping.source
        keeping.trouble = trouble
        self._log.write(
            "crl.refused" if trouble.refused else "crl.failed", level="warning", bundle=source.terms.bundle,
            source=trouble.url, fault=str(trouble.fault), detail=trouble.detail, failures=source.failures,
            retry_in=None if wait is None else round(wait, 1),
            next_update=written(source.next_update),
        )  # fmt: skip

    def _announce(self, keeping: Keeping) -> None:
        """Say that a newer CRL is in force."""
        source = keeping.source
        if keeping.is_news and not self._owes and source.good is not None:
            keeping.is_news = False
            self._log.write("crl.updated", **describe(source, source.good))

    def _settle(self, keeping: Keeping) -> None:
        """Tell whoever waits that the CRL is in force, or why there is none."""
        keeping.is_busy = False
        needs, keeping.needs = keeping.needs, {}
        if needs:
            outcome = self._unforced(keeping) if keeping.source.good is not None else self._why(keeping)
            self._settled({need.key: Settled(outcome, need.fingerprint) for need in needs.values()})

    def _settle_later(self, need: CrlNeed, outcome: Failure | None) -> None:
        settled = {need.key: Settled(outcome, need.fingerprint)}
        asyncio.get_running_loop().call_soon(lambda: self._settled(settled))

    def _why(self, keeping: Keeping) -> Failure | None:
        """Say why a source has brought nothing."""
        trouble = keeping.trouble
        if trouble is None:
            return None
        fault = Fault(trouble.fault) if trouble.fault in list(Fault) else Fault.MALFORMED
        return self._failure(fault, trouble.detail, trouble.url, self._pause(keeping))

    def _unforced(self, keeping: Keeping) -> Failure | None:
        """Say why a CRL that is there is not in force; None where it is."""
        url = keeping.source.terms.urls[0]
        return self._failure(Fault.BUSY, "the CRL cannot be put in force", url) if self._owes else None

    def _failure(self, fault: Fault, detail: str, url: str, wait: float = BUSY_SECONDS) -> Failure:
        now = self._tools.clock()
        return Failure(fault, detail, url, now, now + wait)

    async def _publish(self) -> None:
        """Have all that has come put in force; whoever comes while that is done shares the next time."""
        self._owes = True
        await self._attached.wait()
        async with self._publishing:
            if not self._owes:
                return
            self._owes = False
            try:
                await self._change(self._taken)
            except PublishError as fault:
                self._owes = True
                self._log.write("crl.failed", level="error", fault="unpublished", detail=str(fault))

    def _taken(self, prepared: Prepared) -> Prepared:
        """Lay what has come over what is in force, and let go of sources that it does not name any more."""
        self._roster.keep_only(set(terms_of(prepared)))
        return self._overlaid(prepared)

    def _overlaid(self, prepared: Prepared) -> Prepared:
        self._prepared = overlaid(prepared, lambda name, config: tuple(self._roster.files_of(prepared, name, config)))
        return self._prepared


async def _all_begun(keepings: Sequence[Keeping]) -> None:
    """Wait until sources have something or have failed, but no longer than one attempt may take."""
    if keepings:
        waits = [asyncio.create_task(keeping.begun.wait()) for keeping in keepings]
        longest = max(keeping.source.terms.seconds for keeping in keepings)
        for wait in (await asyncio.wait(waits, timeout=longest))[1]:
            wait.cancel()


def _problem(prepared: Prepared, keeping: Keeping) -> Problem:
    trouble, terms = keeping.trouble, keeping.source.terms
    why = "" if trouble is None else f": {trouble.fault}: {trouble.detail}"
    message = f"the CRL at {terms.urls[0]} cannot be had, and none was kept{why}"
    return Problem(Path(prepared.files[0]), None, f"trust.{terms.bundle}.revocation.crl.sources", message)
