"""Upkeep: what a generation uses of the cache is marked as used, and what nobody uses goes."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxy.control.offload import OffloadError
from proxy.control.plane import Plane
from proxy.observe.log import Log
from proxy.snapshot.cache import Cache
from proxy.snapshot.prepared import Prepared

DAY: Final = 86400.0
"""Seconds: a seventh of the time after which a file that nobody uses goes."""


async def keep_tending(plane: Plane, log: Log) -> None:
    """Look after the cache now, after each change, and once a day. A fault is a warning: the files are there."""
    while True:
        plane.published.clear()
        try:
            await plane.offload.run(tend_cache, plane.prepared, time.time())
        except (OSError, OffloadError) as fault:
            log.write("warning", level="warning", detail=f"the cache cannot be looked after: {fault}")
        with suppress(TimeoutError):
            async with asyncio.timeout(DAY):
                await plane.published.wait()


def tend_cache(prepared: Prepared, now: float) -> int:
    """Look after the folders that have index files of ``prepared``, at Unix time ``now``; return how many files went.

    For the helper process, after each change of what is in force, and once a day: a file that is not marked for a week
    may be removed, also by another instance, and a worker that starts again needs it. Raises OSError.
    """
    used: defaultdict[Path, set[str]] = defaultdict(set)
    for bundle in prepared.unpack_bundles():
        for file in bundle.revocation.index_files if bundle.revocation is not None else ():
            used[file.parent].add(file.name)
    return sum(Cache(folder).keep(names, now) for folder, names in used.items())
