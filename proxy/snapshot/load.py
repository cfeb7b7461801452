"""Load: a configuration file and everything that it names to one snapshot, in one go.

For whoever has time to wait: a start, ``check``, ``explain``. A running proxy takes the two steps apart: ``prepare``
finds everything that is wrong, in another process, and ``assemble`` makes a snapshot of what is left, in slices.
"""

from __future__ import annotations

from pathlib import Path

from proxy.snapshot.assemble import Assembler, at_once
from proxy.snapshot.cache_choice import Places
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepare import prepare


def load(path: Path, generation: int, now: float, places: Places | None = None) -> Snapshot:
    """Load the configuration at ``path`` as of Unix time ``now``; ``generation`` numbers the snapshot.

    ``places`` are where its cache can be; None keeps nothing.
    Raises ConfigError with every problem found.
    """
    return at_once(Assembler().assemble(prepare(path, now, places), generation))
