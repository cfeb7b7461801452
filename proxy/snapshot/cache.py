"""The cache: a directory for what was fetched or compiled, so that a restart finds it again.

Every file is written under another name and renamed into place, and named after what it holds, so that several
instances may share a directory: at worst one writes what the other has just written.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.snapshot.files import MAX_CRL, FileError, read

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600

SPARED: Final = 3600.0
"""Seconds for which a file is kept that was written or used: somebody who prepares a reload may be about to open it."""

UNUSED: Final = 7 * 86400.0
"""Seconds after which a file goes that nobody has used: several times the life of most CRLs."""

MAX_SIZE: Final = 4 << 30
"""Octets of all files: a hundred CRLs of a million entries; beyond it the longest unused go first."""

_PARTIAL: Final = ".new"
_OURS: Final = re.compile(r"[0-9a-f]{64}\.[a-z-]+|\.[0-9a-f]{16}\.new")
"""The names of files, and of those not finished; nothing else is ever removed, whatever folder somebody names."""


class CacheError(Exception):
    """A cache directory that cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Cache:
    """Files in a ``directory`` that is ours alone; ``lasting`` where it is there again after a restart."""

    directory: Path
    lasting: bool = True

    def path(self, name: str) -> Path:
        """Return where the file ``name`` is, or would be."""
        return self.directory / name

    def read(self, name: str, limit: int = MAX_CRL) -> bytes | None:
        """Read a file of ``limit`` octets at most; None where there is none that can be read."""
        try:
            return read(self.path(name), limit).data
        except FileError:
            return None

    def write(self, name: str, pieces: Iterable[bytes | memoryview]) -> int:
        """Write a file, to be seen whole or not at all, also after a crash; return its size. Raises OSError.

        Its name is a SHA-256 in hex, a dot, and what kind of file it is.
        """
        if not _OURS.fullmatch(name):
            raise ValueError(f"{name!a} is no name in the cache")
        partial = self.path(f".{secrets.token_hex(8)}{_PARTIAL}")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            with os.fdopen(handle, "wb") as stream:
                size = sum(map(stream.write, pieces))
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(self.path(name))
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self._settle()
        return size

    def use(self, name: str, until: float | None = None) -> None:
        """Note that a file is in use, now or until a Unix time, so that no instance removes it."""
        with suppress(FileNotFoundError):
            os.utime(self.path(name), None if until is None else (until, until))

    def keep(self, names: Iterable[str], now: float) -> int:
        """Note that these files are in use, and remove what nobody has used for long; return how many went.

        To be called after each change of what is in use, and once a day, with everything that is. Raises OSError.
        """
        kept = set(names)
        for name in kept:
            self.use(name)
        ages = sorted(_ages(self.directory, now), reverse=True)
        room = MAX_SIZE - sum(size for _, size, _ in ages)
        gone = 0
        for age, size, path in ages:
            late = age > UNUSED or (age > SPARED and (room < 0 or path.suffix == _PARTIAL))
            if late and path.name not in kept:
                path.unlink(missing_ok=True)
                room, gone = room + size, gone + 1
        return gone

    def _settle(self) -> None:
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def open_cache(directory: Path, *, make: bool = True) -> Cache:
    """Open the cache in ``directory``, which is made if its parent is there, unless ``make`` is false.

    Raises CacheError where it is not there, or others could write what this process would then believe.
    """
    try:
        if make:
            _make(directory)
        status = directory.stat()
    except OSError as fault:
        raise CacheError(f"{directory} cannot be used: {fault.strerror}; make it, owned by this user") from fault
    unfit = _fault(status)
    if unfit is None and not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        unfit = "cannot be written to by this user; look at its mode, and at how its file system is mounted"
    if unfit is not None:
        raise CacheError(f"{directory} {unfit}")
    return Cache(directory)


def _make(directory: Path) -> None:
    with suppress(FileExistsError):
        directory.mkdir(DIRECTORY_MODE)


def _fault(status: os.stat_result) -> str | None:
    if not stat.S_ISDIR(status.st_mode):
        return "is no folder"
    user = os.geteuid()
    if status.st_uid != user:
        return f"belongs to uid {status.st_uid}, and this is uid {user}; chown it: what is in it is believed"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written to by others (its group or everybody); chmod 700 it: what is in it is believed"
    return None


def _ages(directory: Path, now: float) -> Iterable[tuple[float, int, Path]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another instance was faster
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and _OURS.fullmatch(entry.name):
                    yield now - status.st_mtime, status.st_size, Path(entry.path)
