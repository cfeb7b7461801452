"""The plane: which generation is in force, and how the next one comes to be.

Reloads and refreshed CRLs take turns, so that each starts from what the one before left, and generations are numbered
without gaps. A reload that is asked for while one waits for its turn is that one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Final

from proxy.control.changes import NONE, Changes, changes_between, fixed_changes
from proxy.control.offload import Offload, OffloadError
from proxy.control.planes import Publisher, PublishError
from proxy.snapshot.cache_choice import Places
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from proxy.snapshot.problems import ConfigError
from proxy.snapshot.stamps import Watched

PREPARE_SECONDS: Final = 60.0
"""For reading and checking everything: 2,000 hosts and a CRL of ten million entries take half of it."""

RETRY: Final = "retry"
"""The trigger of a reload that nobody asked for again."""

FIRST_RETRY_SECONDS: Final = 1.0
"""After a good change that could not be put in force: a worker that died of something else is back by then."""

LAST_RETRY_SECONDS: Final = 60.0
"""Between later ones, each of which waits twice as long as the one before."""


class Result(StrEnum):
    """How a reload ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a reload: ``generation`` is in force now, ``problems`` are why nothing changed.

    FAILED is for a configuration or a file that is bad, REFUSED for a good one that cannot be put in force.
    ``triggers`` are who asked; ``warnings`` are those of the new generation.
    """

    result: Result
    triggers: tuple[str, ...]
    generation: int
    seconds: float
    changes: Changes = NONE
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """What a reload would put in force, and how that differs; without ``prepared`` no file has changed."""

    watched: Watched
    prepared: Prepared | None = None
    changes: Changes = NONE


def draft(path: Path, now: float, places: Places | None, digest: str, inventory: bytes) -> Draft:
    """Prepare, and compare with what is in force: its digest and its inventory. Raises ConfigError."""
    prepared = prepare(path, now, places)
    if prepared.digest == digest:
        return Draft(prepared.watched)
    return Draft(prepared.watched, prepared, changes_between(inventory, prepared.inventory))


async def as_it_is(prepared: Prepared) -> Prepared:
    """Return what is given."""
    return prepared


class Plane:
    """The control plane of one instance. ``prepared`` is in force, as ``generation``, at ``data``.

    ``complete`` adds to what was read from files what comes from elsewhere; it may raise ConfigError. ``begins`` and
    ``ended`` are told of each reload, and ``fault`` of an exception that nobody foresaw; ``published`` is set with
    each generation, for who clears it. ``retries`` are in a row, of a good change that could not be put in force.
    """

    def __init__(
        self, path: Path, prepared: Prepared, generation: int, *, places: Places | None, data: Publisher,
        offload: Offload,
    ) -> None:  # fmt: skip
        self.prepared = prepared
        self.generation = generation
        self.watched = prepared.watched
        self.complete: Callable[[Prepared], Awaitable[Prepared]] = as_it_is
        self.begins: Callable[[], None] = lambda: None
        self.ended: Callable[[Outcome], None] = lambda _outcome: None
        self.fault: Callable[[str, BaseException], None] = lambda _where, _fault: None
        self.published = asyncio.Event()
        self._path = path
        self._places = places
        self._data = data
        self.offload = offload
        self._turn = asyncio.Lock()
        self._queued: asyncio.Task[Outcome] | None = None
        self._triggers: dict[str, None] = {}
        self.retries = 0
        self._retry: asyncio.TimerHandle | None = None

    def request(self, trigger: str) -> asyncio.Task[Outcome]:
        """Ask for a reload, and return the one that will see the files as they are now; it never raises.

        Shield it where you wait for it: others may, too.
        """
        self._triggers[trigger] = None
        if self._queued is None:
            self._queued = asyncio.create_task(self._reload())
        return self._queued

    async def change(self, alter: Callable[[Prepared], Prepared]) -> int:
        """Put in force what ``alter`` makes of what is, unless it is the same; return the generation.

        Raises PublishError with nothing changed, and whatever ``alter`` raises.
        """
        async with self._turn:
            prepared = alter(self.prepared)
            if prepared is not self.prepared:
                await self._publish(prepared)
            return self.generation

    def close(self) -> None:
        """Give up a reload that is under way, or to come."""
        self._forget_retry()
        if self._queued is not None:
            self._queued.cancel()

    async def _reload(self) -> Outcome:
        async with self._turn:
            triggers, self._triggers = tuple(self._triggers), {}
            self._queued = None
            self._forget_retry()
            self.begins()
            since = monotonic()
            result, changes, problems = await self._attempt()
            warnings = self.prepared.warnings if result is Result.DONE else ()
            outcome = Outcome(
                result, triggers, self.generation, monotonic() - since, changes, problems, warnings
            )  # fmt: skip
        self.ended(outcome)
        return outcome

    async def _attempt(self) -> tuple[Result, Changes, tuple[str, ...]]:
        try:
            found = await self._draft()
            if found.prepared is None:
                return Result.UNCHANGED, NONE, ()
            fixed = fixed_changes(self.prepared.frame, found.prepared.frame)
            if fixed:
                return Result.REFUSED, NONE, fixed
            await self._publish(await self.complete(found.prepared))
        except ConfigError as fault:
            return Result.FAILED, NONE, tuple(str(fault).splitlines())
        except (OffloadError, PublishError) as fault:
            if isinstance(fault, PublishError):
                self._try_again()
            return Result.REFUSED, NONE, (str(fault),)
        except Exception as fault:  # noqa: BLE001 - what was in force is, and whoever waits has to hear of it
            self.fault("a reload", fault)
            return Result.REFUSED, NONE, (f"an internal error: {type(fault).__name__}: {fault}",)
        return Result.DONE, found.changes, ()

    async def _draft(self) -> Draft:
        known = (self.prepared.digest, self.prepared.inventory)
        try:
            found = await self.offload.run(
                draft, self._path, time.time(), self._places, *known, timeout=PREPARE_SECONDS
            )
        except ConfigError as fault:
            self.watched = fault.watched or self.watched
            raise
        self.watched = found.watched
        return found

    async def _publish(self, prepared: Prepared) -> None:
        await self._data.publish(prepared, self.generation + 1)
        self.prepared = prepared
        self.generation += 1
        self.retries = 0
        self.published.set()

    def _try_again(self) -> None:
        """Ask for a reload by ourselves: the files are as they are, so nothing else would."""
        seconds = min(FIRST_RETRY_SECONDS * 2**self.retries, LAST_RETRY_SECONDS)
        self.retries += 1
        self._retry = asyncio.get_running_loop().call_later(seconds, self.request, RETRY)

    def _forget_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
