"""The processes of an instance, and what it says of them together."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from tests.support.harness import PATIENCE, ProxyProcess


def children(process: int) -> list[int]:
    """Return the processes that ``process`` has started and that live."""
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def workers_of(proxy: ProxyProcess) -> dict[str, int]:
    """Return the instance's workers by the names of their processes."""
    names = {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in children(proxy.process.pid)}
    return {name: pid for name, pid in names.items() if name.startswith("originward-")}


def is_gone(process: int) -> bool:
    """Tell whether a process has ended, with all of its threads: the last one closes its sockets."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z" and len(list(Path(f"/proc/{process}/task").iterdir())) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def await_gone(*processes: int) -> None:
    """Wait until processes have ended."""
    deadline = time.monotonic() + PATIENCE
    while not all(map(is_gone, processes)):
        assert time.monotonic() < deadline, f"{processes} live on"


def metric(proxy: ProxyProcess, name: str) -> float:
    """Return the value of a metric, with its labels as they are written."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", proxy.metrics(), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def accepted(proxy: ProxyProcess, count: int) -> list[str]:
    """Wait for ``count`` accepted handshakes in the log, and return the workers' prefixes of their connections."""
    prefixes: list[str] = []

    def last_of_them(line: dict[str, Any]) -> bool:
        if line["event"] == "handshake.accepted":
            prefixes.append(line["conn"].split("-")[0])
        return len(prefixes) == count

    proxy.wait_for(last_of_them)
    return prefixes
