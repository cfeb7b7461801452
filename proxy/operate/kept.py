"""Kept: the CRLs that a proxy has fetched and kept, for whoever asks about a configuration.

Nothing is fetched or written. What was kept is verified as a start does it, and compiled in memory. Whoever asks need
not be the proxy's user, such as root, as long as the files can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from proxy.control.crl_check import Flawed, Good, restore
from proxy.control.crl_overlay import is_followed, known_issuers, make_terms, overlaid, terms_of
from proxy.control.crl_roster import MAX_NAMED
from proxy.control.crl_source import Terms, deltas_of, origin_of, terms_of_delta
from proxy.snapshot.assemble import Assembler, at_once
from proxy.snapshot.cache import Cache
from proxy.snapshot.cache_choice import given_directory
from proxy.snapshot.config_trust import CrlConfig
from proxy.snapshot.crls import CrlFile
from proxy.snapshot.kept_crl import KeptHead, find_kept
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared

NOTHING: Final = "nothing is kept that outlasts a proxy: there is neither cache.directory nor, here, $CACHE_DIRECTORY"
NOT_YET: Final = "nothing is kept yet; a start fetches it"


@dataclass(frozen=True, slots=True)
class Gap:
    """An address of a bundle's CRL of which nothing is at hand, and why."""

    bundle: str
    url: str
    why: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A snapshot with the CRLs that were kept, and the gaps that are left."""

    snapshot: Snapshot
    gaps: tuple[Gap, ...]


def load_with_kept(path: Path, now: float, environment: Mapping[str, str]) -> Loaded:
    """Load the configuration at ``path`` as of Unix time ``now``, with what a proxy has kept. Raises ConfigError."""
    prepared = prepare(path, now)
    shelf = _Shelf(prepared, prepared.frame.cache.directory or given_directory(environment), now)
    whole = overlaid(prepared, lambda name, config: tuple(shelf.files_of(name, config)))
    return Loaded(at_once(Assembler().assemble(whole, 0)), tuple(shelf.gaps))


class _Shelf:
    """What is kept in ``directory``, None where it is nowhere."""

    def __init__(self, prepared: Prepared, directory: Path | None, now: float) -> None:
        self.gaps: list[Gap] = []
        self._prepared = prepared
        self._now = now
        self._cache = None if directory is None else Cache(directory)
        self._heads: dict[tuple[str, str], KeptHead] = {}
        self._why = NOTHING if directory is None else NOT_YET
        try:
            self._heads = {} if directory is None else {(head.bundle, head.url): head for head in find_kept(directory)}
        except FileNotFoundError:
            return  # a folder that the first start makes
        except OSError as fault:
            self._cache = None
            where = fault.filename or directory
            self._why = f"what is kept cannot be read: {where}: {fault.strerror}; ask as the proxy's user"

    def files_of(self, bundle: str, config: CrlConfig) -> Iterator[CrlFile]:
        """Yield the CRLs of a bundle: of the addresses that it names, and of those that its certificates did."""
        for terms in terms_of(self._prepared):
            if terms.bundle == bundle:
                yield from self._kept(terms)
        yield from (file for terms in self._named(bundle, config) for file in self._kept(terms))

    def _named(self, bundle: str, config: CrlConfig) -> Iterator[Terms]:
        """Yield what is kept because certificates named it; the latest, as many as a proxy keeps."""
        heads = [
            head
            for head in self._heads.values()
            if head.bundle == bundle and head.url not in config.urls and is_followed(config, (head.url,))
        ]
        (found,) = (one for one in self._prepared.unpack_bundles() if one.name == bundle)
        issuers = (*found.anchors, *known_issuers(found))
        for head in sorted(heads, key=lambda head: head.fetched_at, reverse=True)[:MAX_NAMED]:
            yield make_terms(bundle, (head.url,), issuers, config)

    def _kept(self, terms: Terms) -> Iterator[CrlFile]:
        """Yield what is kept of a source, with its deltas; or note why there is nothing."""
        url = terms.urls[0]
        found = self._restored(terms, url)
        if not isinstance(found, Good):
            self.gaps.append(Gap(terms.bundle, url, found))
            return
        yield from (replace(file, fetched_at=found.fetched_at) for file in found.files)
        for delta in deltas_of(found, terms):
            yield from self._kept(terms_of_delta(terms, delta))

    def _restored(self, terms: Terms, url: str) -> Good | str:
        found = (
            None if self._cache is None else restore(origin_of(terms, url), self._cache, self._now, compiles=False)
        )
        if isinstance(found, Flawed):
            return f"what is kept does not count: {found.flaw}: {found.detail}"
        return self._why if found is None else found
