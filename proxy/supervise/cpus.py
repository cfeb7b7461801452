"""How many CPUs there are for us: fewer than the machine has, where an affinity or a container says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")

_UNIFIED: Final = ""
_CPU: Final = "cpu"


def usable_cpus(membership: Path = MEMBERSHIP, cgroups: Path = CGROUPS) -> int:
    """Return the CPUs that this process may use, at least 1.

    A quota is rounded down: a worker that is put to sleep for having used it up holds up all of its connections.
    """
    allowed = len(os.sched_getaffinity(0))
    quotas = [quota for folder, unified in _folders(membership, cgroups) for quota in _quota(folder, unified=unified)]
    return max(1, int(min([allowed, *quotas])))


def _folders(membership: Path, cgroups: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of our control groups, up to the root: each of them may set a quota."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return  # no /proc: nobody has set a quota that we could know of
    for line in lines:
        _, controllers, path = line.split(":", 2)
        unified = controllers == _UNIFIED
        if not unified and _CPU not in controllers.split(","):
            continue
        root = cgroups if unified else cgroups / controllers
        inner = Path(path.lstrip("/"))
        for folder in (root / inner, *(root / parent for parent in inner.parents), root):
            yield folder, unified


def _quota(folder: Path, *, unified: bool) -> Iterator[float]:
    try:
        if unified:
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
    except (OSError, ValueError):
        return  # the group has no such file: no quota of its own
    if quota not in ("max", "-1"):
        yield int(quota) / int(period)
