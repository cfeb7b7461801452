"""The store: all CRLs of a bundle, by who issued them, and which of them were signed by whom."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from math import inf
from typing import Final

from proxy.decide.bounded import put
from proxy.decide.facts import Certificate
from proxy.decide.peer.crl.facts import Crl, Group
from proxy.decide.peer.crl.names import NameKey
from proxy.decide.peer.crl.verify import check_signer

MAX_CHECKED: Final = 4096
"""Pairs of a CRL and a possible signer whose signature check is remembered, 100 µs each; the oldest goes first."""

SKEW: Final = 300.0
"""Seconds by which a CA's clock may be ahead of ours before its CRL counts as one of the future."""


class CrlStore:
    """Finds CRLs by their issuer; ``crls`` are all of them, complete ones and deltas."""

    def __init__(self, crls: Iterable[Crl] = ()) -> None:
        self.crls: tuple[Crl, ...] = tuple(crls)
        self._complete: dict[NameKey, list[Crl]] = {}
        self._deltas: dict[NameKey, list[Crl]] = {}
        self._checked: dict[tuple[Crl, bytes], str | None] = {}
        self._latest = max((crl.this_update for crl in self.crls), default=-inf)
        for crl in sorted(self.crls, key=rank, reverse=True):
            table = self._complete if crl.base is None else self._deltas
            table.setdefault(crl.issuer_key, []).append(crl)

    def __len__(self) -> int:
        return len(self.crls)

    def of(self, issuer: NameKey) -> Iterable[Crl]:
        """Return the complete CRLs of an issuer, the newest first."""
        return self._complete.get(issuer, ())

    def deltas_of(self, crl: Crl) -> Iterable[Crl]:
        """Return the delta CRLs that can be laid over ``crl``, the newest first (RFC 5280, section 5.2.4)."""
        if crl.number is None:
            return
        for delta in self._deltas.get(crl.issuer_key, ()):
            same = delta.scope == crl.scope and delta.authority_key == crl.authority_key
            if same and delta.base is not None and delta.number is not None and delta.base <= crl.number < delta.number:
                yield delta

    @cached_property
    def sources(self) -> frozenset[str]:
        """Where the CRLs came from."""
        return frozenset(crl.source for crl in self.crls)

    @cached_property
    def newest(self) -> tuple[Crl, ...]:
        """The CRLs that no newer one of the same key, scope and kind replaces."""
        kinds: dict[Group, Crl] = {}
        for crl in sorted(self.crls, key=rank, reverse=True):
            kinds.setdefault(crl.group, crl)
        kept = set(map(id, kinds.values()))
        return tuple(crl for crl in self.crls if id(crl) in kept)

    def starts_after(self, now: float) -> float:
        """Return when the first CRL of the future starts to count, in Unix seconds; infinity where there is none."""
        if now >= self._latest - SKEW:  # which is all that is asked of thousands of CRLs, with each new client
            return inf
        return min(crl.this_update - SKEW for crl in self.crls if is_future(crl, now))

    def is_checked(self, crl: Crl) -> bool:
        """Tell whether a certificate is known that has issued ``crl``."""
        return any(known is crl and fault is None for (known, _), fault in self._checked.items())

    def fault_of(self, crl: Crl, signer: Certificate) -> str | None:
        """Say why ``signer`` cannot have issued ``crl``, None where it has; a signature is checked once."""
        key = (crl, signer.der)
        if key not in self._checked:
            put(self._checked, key, check_signer(crl, signer), MAX_CHECKED)
        return self._checked[key]


def is_future(crl: Crl, now: float) -> bool:
    """Tell whether a CRL does not count yet at Unix time ``now``."""
    return now < crl.this_update - SKEW


def rank(crl: Crl) -> tuple[int, float]:
    """Return what CRLs of one group are ordered by: their number, then their date."""
    return (-1 if crl.number is None else crl.number, crl.this_update)
