"""Depth: how far up a chain its certificates are looked up."""

from __future__ import annotations

from enum import StrEnum

from proxy.decide.facts import Certificate


class Check(StrEnum):
    """Which certificates of a chain are looked up; the anchor is not, for nobody stands above it."""

    CHAIN = "chain"
    LEAF = "leaf"
    NONE = "none"


def looked_up(chain: tuple[Certificate, ...], check: Check) -> tuple[Certificate, ...]:
    """Return the certificates of a chain (leaf first, anchor last) that are looked up, leaf first."""
    return {Check.CHAIN: chain[:-1], Check.LEAF: chain[:-1][:1], Check.NONE: ()}[check]
