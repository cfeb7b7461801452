"""Which cache: the configured one, else the service manager's, else one that lasts as long as the process."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from proxy.decide.peer.depth import Check
from proxy.decide.peer.ocsp.settings import Mode
from proxy.snapshot.cache import FILE_MODE, Cache, CacheError, open_cache
from proxy.snapshot.config import Config
from proxy.snapshot.config_trust import RevocationConfig
from proxy.snapshot.problems import KeyPath

_PRIVATE: Final = "originward-cache-"
_LOCK: Final = ".lock"

_YOUNG: Final = 60.0
"""Seconds in which a private cache that is just being made gets its lock."""

_AT: Final = ("cache", "directory")


class Notes(Protocol):
    """Takes notes of what is wrong or worrying about a key."""

    def problem(self, at: KeyPath, message: str) -> None:
        """Note what is wrong."""

    def warn(self, at: KeyPath, message: str) -> None:
        """Note what is worrying."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a cache can be that the configuration does not name: ``given`` by the environment, or else ``private``."""

    given: Path | None = None
    private: Cache | None = None


def given_directory(environment: Mapping[str, str]) -> Path | None:
    """Return where the service manager wants the cache (``CacheDirectory=`` of systemd), None where it does not say."""
    first = environment.get("CACHE_DIRECTORY", "").split(":")[0]
    return Path(first) if first else None


def choose_cache(config: Config, places: Places | None, notes: Notes) -> Cache | None:
    """Choose the cache of a configuration, and open it; None keeps everything in memory.

    None for ``places`` is for somebody who only asks about a configuration, and may be another user than the proxy's:
    a folder that is not fit for a cache is a warning then.
    """
    directory = config.cache.directory
    if places is None:
        if directory is not None:
            _look(directory, notes)
        return None
    if directory is None and not _needs_one(config):
        return None
    directory = directory or places.given
    if directory is None:
        _worry(config, places, notes)
        return places.private
    try:
        return open_cache(directory)
    except CacheError as fault:
        notes.problem(_AT, str(fault))
        return None


def _look(directory: Path, notes: Notes) -> None:
    if not os.path.lexists(directory):
        return
    try:
        open_cache(directory, make=False)
    except CacheError as fault:
        notes.warn(_AT, f"for the user of this command: {fault}")


def _worry(config: Config, places: Places, notes: Notes) -> None:
    if places.private is None:
        notes.warn(_AT, "there is no folder for a cache, and none for temporary files: CRLs are kept in memory")
    asked = [trust.revocation for trust in config.trust.values() if trust.revocation is not None]
    if any(map(_fetches, asked)):
        message = (
            "nothing that is fetched outlasts this process: a restart without network refuses clients; "
            "name a folder (or CacheDirectory= in systemd's unit)"
        )
        notes.warn(_AT, message)


def _fetches(revocation: RevocationConfig) -> bool:
    if revocation.check is Check.NONE:
        return False
    if revocation.ocsp is not None and revocation.ocsp.mode is not Mode.OFF:
        return True
    return revocation.crl is not None and not all(isinstance(source, Path) for source in revocation.crl.sources)


def _needs_one(config: Config) -> bool:
    asked = [trust.revocation for trust in config.trust.values() if trust.revocation is not None]
    return any(revocation.check is not Check.NONE for revocation in asked)


class PrivateCache:
    """A cache of this process alone: a new folder among the system's temporary files, removed when it is closed.

    One that an earlier process left behind, because it was killed, is removed when the next one is made.
    Raises OSError where there is no place for one.
    """

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        for directory in parent.glob(f"{_PRIVATE}*"):
            with suppress(OSError):  # somebody else's, or somebody holds it
                _clear(directory)
        directory = Path(tempfile.mkdtemp(prefix=_PRIVATE, dir=parent))
        self._lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.cache = Cache(directory, lasting=False)

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.cache.directory, ignore_errors=True)
        os.close(self._lock)


def _clear(directory: Path) -> None:
    """Remove a private cache that nobody holds any more."""
    status = directory.stat(follow_symlinks=False)
    if status.st_uid != os.geteuid() or status.st_mtime > time.time() - _YOUNG:
        return
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory)
    finally:
        os.close(lock)
