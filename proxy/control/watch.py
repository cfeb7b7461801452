"""Watching: whatever a configuration names, for changes that a reload would see.

The system's notices only say when to look; what counts is the stamp of all files. So nothing is lost that the system
does not tell of, such as on a network's file system, and a notice about nothing costs no reload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from watchfiles import Change, awatch

from proxy.snapshot.stamps import Watched, places_of, stamp

LOOK_SECONDS: Final = 5.0
"""Between looks without a notice, for what the system does not tell of."""

LOOK_BLINDLY_SECONDS: Final = 1.0
"""The same where the system gives no notices at all, as its limit of them is reached."""

SETTLE_SECONDS: Final = 0.1
"""For which a change has to rest: who copies a file over another is seldom slower between two writes."""

MAX_SETTLING: Final = 20
"""Looks at files that do not come to rest, before they are taken as they are."""

STEP_MS: Final = 50
DEBOUNCE_MS: Final = 200
"""Milliseconds: notices that come within a step of each other are one, for this long at most."""

_Places = Mapping[str, set[str] | None]


class Watch:
    """Asks for a ``reload`` when what is ``watched`` looks other than it did when it was last read.

    ``wanted`` tells whether to watch at all, and ``blind`` is told once why there are no notices.
    """

    def __init__(
        self,
        watched: Callable[[], Watched],
        wanted: Callable[[], bool],
        reload: Callable[[], Awaitable[object]],
        blind: Callable[[str], None],
    ) -> None:
        self._watched = watched
        self._wanted = wanted
        self._reload = reload
        self._blind = blind
        self._look = asyncio.Event()
        self._places: _Places = {}
        self._listener: asyncio.Task[None] | None = None
        self._is_blind = self._told = False

    def nudge(self) -> None:
        """Look now: what is watched may be other files."""
        self._look.set()

    async def run(self) -> None:
        """Watch for ever."""
        try:
            while True:
                if self._wanted():
                    await self._cycle()
                else:
                    await self._listen_at({})
                await self._wait()
        finally:
            await self._listen_at({})

    async def _wait(self) -> None:
        blindly = self._is_blind and self._wanted()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_BLINDLY_SECONDS if blindly else LOOK_SECONDS):
                await self._look.wait()
        self._look.clear()

    async def _cycle(self) -> None:
        """Listen where a change would show, then look whether one has been there already."""
        await self._listen_at(await asyncio.to_thread(places_of, self._watched().paths))
        if await self._changed():
            await self._reload()
            self._look.set()  # the reload may have found other files to watch

    async def _changed(self) -> bool:
        """Tell whether what is watched has changed, once it has come to rest."""
        watched = self._watched()
        seen = await asyncio.to_thread(stamp, watched.paths)
        if seen == watched.stamp:
            return False
        for _ in range(MAX_SETTLING):
            await asyncio.sleep(SETTLE_SECONDS)
            before, seen = seen, await asyncio.to_thread(stamp, watched.paths)
            if seen == before:
                break
        return seen != self._watched().stamp

    async def _listen_at(self, places: _Places) -> None:
        """Have notices of changes in other folders than until now."""
        if places.keys() != self._places.keys() or (self._listener is not None and self._listener.done()):
            if self._listener is not None:
                self._listener.cancel()
                with suppress(asyncio.CancelledError):
                    await self._listener
                self._listener = None
            if places:
                self._listener = asyncio.create_task(self._listen(tuple(places)))
                await asyncio.sleep(0)  # it listens from its first step on
        self._places = places

    async def _listen(self, folders: tuple[str, ...]) -> None:
        self._is_blind = False
        try:
            async for _ in awatch(
                *folders, watch_filter=self._counts, recursive=False, step=STEP_MS, debounce=DEBOUNCE_MS
            ):
                self._look.set()
        except (OSError, RuntimeError) as fault:
            self._is_blind = True
            if not self._told:
                self._told = True
                self._blind(f"the system gives no notice of changed files, which are looked at every second: {fault}")

    def _counts(self, _change: Change, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        names = self._places.get(folder or "/", set())
        return names is None or name in names or path in self._places
