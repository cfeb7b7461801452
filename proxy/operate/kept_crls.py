"""Kept CRLs: what a running proxy has fetched last, out of its cache, for a judgement that fetches nothing itself."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.control.crl_check import Good, Origin, restore
from proxy.control.crl_overlay import overlaid, terms_of
from proxy.snapshot.cache import CacheError, open_cache
from proxy.snapshot.crls import CrlFile
from proxy.snapshot.prepared import Prepared


def with_kept(prepared: Prepared, now: float) -> tuple[Prepared, Mapping[str, list[str]]]:
    """Return ``prepared`` with the CRLs that are kept at Unix time ``now``, and what is not there, by bundle.

    Nothing is written. Of deltas, and of CRLs that certificates name, none is looked for.
    """
    files: dict[str, list[CrlFile]] = {}
    missing: dict[str, list[str]] = {}
    for terms in terms_of(prepared):
        (url,) = terms.urls
        found = _kept(prepared, Origin(terms.bundle, url, url, terms.issuers), now)
        if found is None:
            missing.setdefault(terms.bundle, []).append(f"the CRL at {url}, which the cache does not have")
        else:
            files.setdefault(terms.bundle, []).extend(found.files)
    return overlaid(prepared, lambda bundle, _config: tuple(files.get(bundle, ()))), missing


def _kept(prepared: Prepared, origin: Origin, now: float) -> Good | None:
    directory = prepared.frame.cache.directory
    if directory is None:
        return None
    try:
        cache = open_cache(directory, make=False)
    except CacheError:
        return None
    found = restore(origin, cache, now, compiles=False)
    return found if isinstance(found, Good) else None
