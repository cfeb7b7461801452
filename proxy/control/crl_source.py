"""CRL source: one address, or several for the same CRL, and what came from there last; asked again and again.

Whatever an answer is, the last good one stays until there is a better.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from proxy.control.crl_check import Flawed, Good, Origin, examine, restore
from proxy.control.fetch import Fetcher
from proxy.control.fetched import Fetched, NotModified, Request, Unfetched, Validators
from proxy.control.offload import Offload, OffloadError
from proxy.decide.peer.answers import Fault
from proxy.decide.peer.hosts import Hosts, place_of
from proxy.snapshot.cache import FILE_MODE, Cache
from proxy.snapshot.crl_index import CrlIndexError
from proxy.snapshot.crls import CrlFile
from proxy.snapshot.kept_crl import kept_name

MAX_REDIRECTS: Final = 3
"""Of a CRL: from a short address to a bucket, and perhaps to another region's."""

MAX_DELTAS: Final = 2
"""Addresses of delta CRLs that one CRL may send us to: CAs name one."""

CHECK_SECONDS: Final = 120.0
"""To compile and verify one CRL; one of 256 MiB takes half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """For whom and how a source is asked: ``urls`` in order of trial, ``issuers`` as DER.

    ``allows`` is for what CRLs and redirects lead to; the first addresses were allowed before. Two equal ones are the
    same source.
    """

    bundle: str
    urls: tuple[str, ...]
    issuers: tuple[bytes, ...]
    hosts: Hosts
    max_octets: int
    seconds: float
    refresh: float
    is_delta: bool = False

    def allows(self, url: str) -> bool:
        """Tell whether an address may be asked."""
        return url in self.urls or self.hosts.allows(url)


@dataclass(frozen=True, slots=True)
class Trouble:
    """An attempt that brought nothing: whom it asked, and why. ``refused`` is for an answer that may not be used."""

    url: str
    fault: str
    detail: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Tools:
    """What a source works with. ``clock`` gives Unix seconds."""

    fetcher: Fetcher
    offload: Offload
    clock: Callable[[], float]


class CrlSource:
    """Asks at the addresses of its ``terms``; ``good`` is what came last, None where nothing has yet."""

    def __init__(self, terms: Terms, tools: Tools, cache: Cache | None) -> None:
        self.terms = terms
        self.good: Good | None = None
        self.failures = 0
        self.succeeded_at: float | None = None
        self.deltas: dict[str, CrlSource] = {}
        self._tools = tools
        self._cache = cache

    @property
    def files(self) -> tuple[CrlFile, ...]:
        """The CRLs that are in use, with their deltas."""
        own = () if self.good is None else self.good.files
        return (*own, *(file for delta in self.deltas.values() for file in delta.files))

    @property
    def next_update(self) -> float | None:
        """When the first of the CRLs ends, in Unix seconds; None where there is none."""
        found = (source.good for source in (self, *self.deltas.values()))
        return min((good.next_update for good in found if good is not None), default=None)

    async def restore(self) -> Trouble | None:
        """Take what an earlier process has kept, if there is something, with its deltas; else say what was wrong."""
        trouble: Trouble | None = None
        for url in self.terms.urls:
            found = await self._run_restore(url)
            if isinstance(found, Trouble):
                trouble = found
            elif found is not None:
                self.good = found
                for delta in self._new_deltas():
                    await delta.restore()
                return None
        return trouble

    async def ask(self) -> tuple[Trouble, ...]:
        """Ask for a newer CRL, then for its deltas. What went wrong with the last address, and with the deltas."""
        trouble: Trouble | None = None
        for url in self.terms.urls:
            trouble = await self._ask(url)
            if trouble is None:
                break
        troubles = [] if trouble is None else [trouble]
        if trouble is None:
            self.failures, self.succeeded_at = 0, self._tools.clock()
        else:
            self.failures += 1
        if self._cache is not None and self.good is not None:
            self._cache.use(kept_name(self.terms.bundle, self.good.url))
        self._new_deltas()
        for delta in self.deltas.values():
            troubles.extend(await delta.ask())
        return tuple(troubles)

    def _new_deltas(self) -> list[CrlSource]:
        """Let the deltas be those that the CRL names now; return those that are new."""
        allowed = () if self.good is None else deltas_of(self.good, self.terms)
        new = {url: self._delta(url) for url in allowed if url not in self.deltas}
        self.deltas = {url: self.deltas.get(url) or new[url] for url in allowed}
        return list(new.values())

    def _delta(self, url: str) -> CrlSource:
        return CrlSource(terms_of_delta(self.terms, url), self._tools, self._cache)

    # --- one address

    async def _ask(self, url: str) -> Trouble | None:
        body = self._scratch()
        try:
            with _opened(body) as stream:
                outcome = await self._tools.fetcher.fetch(self._request(url, stream))
            match outcome:
                case Fetched():
                    return await self._examine(url, body, outcome.validators)
                case NotModified():
                    return None
                case Unfetched():
                    return Trouble(url, outcome.fault, outcome.detail)
        except OSError as fault:
            return Trouble(url, Fault.BUSY, f"{body}: the answer cannot be written down: {fault.strerror}")
        finally:
            with suppress(OSError):
                body.unlink(missing_ok=True)

    def _request(self, url: str, stream: BinaryIO) -> Request:
        good = self.good
        known = good.validators if good is not None and good.url == url else None
        return Request(
            url=url, max_octets=self.terms.max_octets, seconds=self.terms.seconds, allows=self.terms.allows,
            max_redirects=MAX_REDIRECTS, known=known, into=stream.write,
        )  # fmt: skip

    async def _examine(self, url: str, body: Path, validators: Validators) -> Trouble | None:
        before = () if self.good is None else self.good.files
        try:
            found = await self._tools.offload.run(
                examine, self._origin(url), body, validators, before, self._cache, self._tools.clock(),
                timeout=CHECK_SECONDS,
            )  # fmt: skip
        except (OffloadError, CrlIndexError) as fault:
            return Trouble(url, Fault.BUSY, f"it cannot be checked: {fault}")
        if isinstance(found, Flawed):
            return Trouble(url, found.flaw, found.detail, refused=True)
        self.good = found
        return None

    async def _run_restore(self, url: str) -> Good | Trouble | None:
        if self._cache is None:
            return None
        try:
            found = await self._tools.offload.run(
                restore, self._origin(url), self._cache, self._tools.clock(), timeout=CHECK_SECONDS
            )
        except (OffloadError, CrlIndexError) as fault:
            return Trouble(url, Fault.BUSY, f"what was kept cannot be checked: {fault}")
        return Trouble(url, found.flaw, found.detail, refused=True) if isinstance(found, Flawed) else found

    def _origin(self, url: str) -> Origin:
        return origin_of(self.terms, url)

    def _scratch(self) -> Path:
        """Name a file for what arrives; the cache removes one that is left behind."""
        folder = Path(tempfile.gettempdir()) if self._cache is None else self._cache.directory
        return folder / f".{secrets.token_hex(8)}.new"


def origin_of(terms: Terms, url: str) -> Origin:
    """Say where what is at one address of a source comes from."""
    return Origin(terms.bundle, url, terms.urls[0], terms.issuers, terms.is_delta)


def terms_of_delta(terms: Terms, url: str) -> Terms:
    """Return what a delta CRL at ``url`` of a source is asked for."""
    return replace(terms, urls=(url,), is_delta=True)


def deltas_of(good: Good, terms: Terms) -> tuple[str, ...]:
    """Return the addresses of deltas that may be fetched: of an allowed host, or beside the CRL itself."""
    places = [place_of(own) for own in terms.urls]
    named = () if terms.is_delta else good.freshest
    return tuple(url for url in named if terms.allows(url) or place_of(url) in places)[:MAX_DELTAS]


def _opened(path: Path) -> BinaryIO:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    return os.fdopen(handle, "wb")
