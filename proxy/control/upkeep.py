"""Upkeep: what a generation uses of the cache is marked as used, and what nobody uses goes."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from proxy.snapshot.cache import Cache
from proxy.snapshot.prepared import Prepared


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
