"""Files: bounded reading of regular files, and the listing of folders; every fault says what to do about it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_CREDENTIAL: Final = 16 << 20
"""Octets of a certificate or key file. All of the public web's roots together are a quarter of a MiB."""

MAX_FOLDER: Final = 10_000
"""Anchors of one folder: a fleet with a CA for each customer; more is a wrong path, such as a mail spool."""

MAX_CRL: Final = 256 << 20
"""Octets of a file of CRLs: one with a million entries takes 35 to 42 MB."""

SUFFIXES: Final = frozenset({".pem", ".crt", ".cer", ".der"})
CRL_SUFFIXES: Final = frozenset({".crl", ".pem", ".der"})


class FileError(Exception):
    """A file that cannot be used; ``words`` say why, and what to do, without its path."""

    def __init__(self, path: Path, words: str) -> None:
        super().__init__(f"{path} {words}")
        self.words = words


@dataclass(frozen=True, slots=True)
class Contents:
    """A file's octets, and whether more people can read them than need to."""

    data: bytes
    shared: bool


def read(path: Path, limit: int) -> Contents:
    """Read a regular file of ``limit`` octets at most. Raises FileError for anything else.

    The file is opened without waiting (a FIFO would hold the start for ever) and looked at once it is open, so that
    what was checked is what is read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as fault:
        raise FileError(path, _words(fault)) from fault
    try:
        return _read_open(path, handle, limit)
    except OSError as fault:
        raise FileError(path, _words(fault)) from fault
    finally:
        os.close(handle)


def _read_open(path: Path, handle: int, limit: int) -> Contents:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise FileError(path, f"is {_kind(status.st_mode)}; a regular file is expected")
    with os.fdopen(handle, "rb", closefd=False) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise FileError(path, f"is larger than {limit} octets; is it the right file?")
    return Contents(data, _shared(status))


def _shared(status: os.stat_result) -> bool:
    """Tell whether others can read the file. A group is fine where it is how this very process reads root's file."""
    through_group = status.st_uid != os.geteuid()
    return bool(status.st_mode & (stat.S_IROTH if through_group else stat.S_IROTH | stat.S_IRGRP))


def certificates_in(path: Path) -> tuple[Path, ...]:
    """List the certificate files that ``path`` stands for: itself, or a folder's. Raises FileError."""
    return files_in(path, SUFFIXES, "CA")


def files_in(path: Path, suffixes: frozenset[str], what: str) -> tuple[Path, ...]:
    """List the files that ``path`` stands for: itself, or those of a folder, in the order of their names.

    Names that start with a dot are passed over, so that a mounted Kubernetes secret shows each file once.
    Raises FileError where there are none, or too many.
    """
    if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises on a folder that may not be entered
        return (path,)
    try:
        names = sorted(name for name in os.listdir(path) if _has_suffix(name, suffixes))  # noqa: PTH208 - names are enough
    except OSError as fault:
        raise FileError(path, _words(fault)) from fault
    if not names:
        raise FileError(path, f"is a folder without any {', '.join(sorted(suffixes))} file; put the {what} files there")
    if len(names) > MAX_FOLDER:
        raise FileError(path, f"is a folder with more than {MAX_FOLDER} certificate files; is it the right one?")
    return tuple(path / name for name in names)


def _has_suffix(name: str, suffixes: frozenset[str]) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in suffixes


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "no regular file")


def _words(fault: OSError | ValueError) -> str:
    match fault:
        case FileNotFoundError():
            return "does not exist"
        case PermissionError():
            return f"may not be read by this user (uid {os.geteuid()}); look at its owner and mode, and its folders'"
        case OSError():
            return f"cannot be read: {fault.strerror}"
        case _:
            return f"cannot be read: {fault}"
