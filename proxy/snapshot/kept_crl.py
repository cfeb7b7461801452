"""Kept CRLs: what was fetched and found good, on disk, so that a restart without network has it.

A file is one line of JSON (where it came from, when, what the server knows it by, and its digest), and the octets.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from proxy.snapshot.cache import Cache
from proxy.snapshot.files import MAX_CRL

SUFFIX: Final = ".fetched-crl"

MAX_LINE: Final = 1 << 14
"""Octets of the first line: an address and two validators."""


class KeptHead(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a kept CRL. ``fetched_at`` is in Unix seconds."""

    bundle: str
    url: str
    digest: str
    fetched_at: float
    etag: str | None = None
    last_modified: str | None = None


def kept_name(bundle: str, url: str) -> str:
    """Return the name in the cache of what a bundle fetched from an address.

    Bundles do not share it: what is good for one may be signed by nobody whom another one trusts.
    """
    return hashlib.sha256(f"{bundle}\n{url}".encode()).hexdigest() + SUFFIX


def write_kept(cache: Cache, head: KeptHead, data: bytes) -> None:
    """Keep a CRL. Raises OSError."""
    cache.write(kept_name(head.bundle, head.url), (msgspec.json.encode(head) + b"\n", data))


def read_kept(cache: Cache, bundle: str, url: str) -> tuple[KeptHead, bytes] | None:
    """Return what a bundle has kept of an address; None where there is nothing, or where it is damaged."""
    whole = cache.read(kept_name(bundle, url), MAX_CRL + MAX_LINE)
    if whole is None:
        return None
    line, found, data = whole.partition(b"\n")
    try:
        head = msgspec.json.decode(line, type=KeptHead)
    except msgspec.MsgspecError:
        return None
    same = (head.bundle, head.url) == (bundle, url) and head.digest == hashlib.sha256(data).hexdigest()
    return (head, data) if found and same else None


def find_kept(directory: Path) -> Iterator[KeptHead]:
    """Yield what is known of each CRL that is kept in a folder, but for the damaged ones. Raises OSError."""
    with os.scandir(directory) as entries:
        paths = [Path(entry.path) for entry in entries if entry.name.endswith(SUFFIX) and entry.is_file()]
    for path in sorted(paths):
        with path.open("rb") as stream:
            line = stream.readline(MAX_LINE)
        with suppress(msgspec.MsgspecError):
            head = msgspec.json.decode(line, type=KeptHead)
            if path.name == kept_name(head.bundle, head.url):
                yield head
