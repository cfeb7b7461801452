"""Stamps: what can be told of files without reading them, so that a change shows, and where to look for one."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from proxy.snapshot.config import Config

MAX_LINKS: Final = 40
"""Symbolic links on one path, as the kernel follows."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The files and folders that a configuration names, and their stamp as it was before they were read."""

    paths: tuple[str, ...]
    stamp: bytes


def named_by(path: Path, config: Config | None) -> tuple[str, ...]:
    """Return the files and folders that count: the configuration's own, and all that its bundles and hosts name."""
    named = [] if config is None else [*_paths(config.trust.values()), *_paths(config.hosts)]
    return tuple(dict.fromkeys(os.path.abspath(name) for name in (path, *named)))  # noqa: PTH100 - links are kept


def _paths(value: object) -> Iterator[Path]:
    """Yield each path in a model, however deep."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, BaseModel):
        for _, part in value:
            yield from _paths(part)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for part in value:
            yield from _paths(part)


def stamp(paths: Iterable[str]) -> bytes:
    """Return a digest of what the system says of files, and of all in folders; it never waits for a reader's turn."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path}\0{_told(path)}\0".encode(errors="surrogateescape"))
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises on a folder that may not be entered
            for name in _names(path):
                whole.update(f"{name}\0{_told(os.path.join(path, name))}\0".encode(errors="surrogateescape"))  # noqa: PTH118
    return whole.digest()


def _told(path: str) -> tuple[int, ...] | str:
    try:
        found = os.stat(path)  # noqa: PTH116 - thousands of them
    except (OSError, ValueError) as fault:
        return type(fault).__name__
    times = () if stat.S_ISDIR(found.st_mode) else (found.st_mtime_ns, found.st_ctime_ns, found.st_size)
    return (found.st_dev, found.st_ino, found.st_mode, *times)


def _names(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - names are enough
    except OSError:
        return []


def places_of(paths: Iterable[str]) -> dict[str, set[str] | None]:
    """Return the folders in which a change can show, and the names that count there; None is for all of them.

    Every symbolic link on the way counts where it lies: Kubernetes swaps a volume by one, several steps away.
    Of what does not exist yet, the first part that is missing counts.
    """
    places: dict[str, set[str] | None] = {}
    for path in paths:
        for folder, name in _trail(path):
            known = places.setdefault(folder, set())
            if name is None:
                places[folder] = None
            elif known is not None:
                known.add(name)
    return places


def _trail(path: str) -> Iterator[tuple[str, str | None]]:
    here, ahead, links = "/", _parts(path), 0
    while ahead:
        name = ahead.pop(0)
        if name == "..":
            here = os.path.dirname(here)  # noqa: PTH120
            continue
        there = os.path.join(here, name)  # noqa: PTH118
        if os.path.islink(there) and links < MAX_LINKS:  # noqa: PTH114
            links += 1
            yield here, name
            target = os.readlink(there)  # noqa: PTH115
            here, ahead = ("/" if target.startswith("/") else here), _parts(target) + ahead
        elif not ahead or not os.path.exists(there):  # noqa: PTH110
            yield here, name
            if os.path.isdir(there):  # noqa: PTH112
                yield there, None
            return
        else:
            here = there


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
