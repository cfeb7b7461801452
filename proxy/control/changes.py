"""Changes: what a new generation has that the last one had not, by name; and what no reload can change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.snapshot.config import Config
from proxy.snapshot.inventory import Inventory, read_inventory

MAX_SHOWN: Final = 100
"""Changes of one kind in a line of the log: more is a new site, and 100 names are what a line still holds."""

FIXED: Final[Mapping[str, Callable[[Config], object]]] = {
    "listen": lambda config: [str(entry.address) for entry in config.listen],
    "workers": lambda config: config.workers or "auto",
    "admin.address": lambda config: str(config.admin.address),
    "log.target": lambda config: str(config.log.target or "stdout"),
    "cache.directory": lambda config: str(config.cache.directory),
}
"""What is opened once, at the start, before privileges go and while somebody watches."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What was added, removed and changed: each a sentence such as ``anchor cdn: CN=… sha256:…``."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.added or self.removed or self.changed)


NONE: Final = Changes()


def changes_between(before: bytes, after: bytes) -> Changes:
    """Compare two packed inventories."""
    old, new = read_inventory(before), read_inventory(after)
    return Changes(
        added=_shown(_listed(key, new[key][0]) for key in new if key not in old),
        removed=_shown(_listed(key, old[key][0]) for key in old if key not in new),
        changed=_shown(_changed(old, new)),
    )


def _changed(old: Inventory, new: Inventory) -> Iterator[str]:
    for key, (shown, digest) in new.items():
        before = old.get(key)
        if before is not None and before[1] != digest:
            yield " ".join(key) + (f": {before[0]} -> {shown}" if before[0] != shown else "")


def _listed(key: tuple[str, str], shown: str) -> str:
    return " ".join(key) + (f": {shown}" if shown else "")


def _shown(sentences: Iterator[str]) -> tuple[str, ...]:
    found = list(sentences)
    hidden = len(found) - MAX_SHOWN
    return (*found[:MAX_SHOWN], f"and {hidden} more") if hidden > 0 else tuple(found)


def fixed_changes(before: Config, after: Config) -> tuple[str, ...]:
    """Say which settings differ that a reload cannot change."""
    return tuple(
        f"{name}: {value(before)} -> {value(after)} takes a restart; the rest of the change waits for it, too"
        for name, value in FIXED.items()
        if value(before) != value(after)
    )
