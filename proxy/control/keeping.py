"""Keeping: a CRL source that is asked again and again, what is known of it, and how that is said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import Any

from proxy.control.crl_check import Good
from proxy.control.crl_source import CrlSource, Trouble
from proxy.decide.peer.needs import CrlNeed
from proxy.observe.metrics import CrlFetches


@dataclass(slots=True, eq=False)
class Keeping:
    """One source. ``used_at`` is when a client last showed a certificate that names it (infinity: it is configured).

    ``needs`` are those who wait for it, by certificate; ``wake`` has it asked at once. ``pause`` are the seconds until
    the next attempt, None while they are to be drawn. ``trouble`` is the last one. ``is_busy`` while it is being asked.
    ``begun`` is set when it has something, or has failed; ``is_late`` where nobody waits for that.
    ``is_news`` until it is said that what came is in force.
    """

    source: CrlSource
    counts: CrlFetches
    used_at: float = inf
    needs: dict[str, CrlNeed] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    pause: float | None = None
    trouble: Trouble | None = None
    is_asked: bool = False
    is_busy: bool = True
    is_late: bool = False
    is_news: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, troubles: Sequence[Trouble], *, updated: bool) -> None:
        """Count an attempt."""
        self.is_asked = True
        outcome = "updated" if updated else "unchanged"
        for trouble in troubles:
            outcome = "refused" if trouble.refused else "failed"
        self.counts.outcomes[outcome] += 1
        self.counts.failures = self.source.failures
        self.counts.succeeded_at = self.source.succeeded_at or 0.0


def describe(source: CrlSource, good: Good) -> dict[str, Any]:
    """Return the fields of a log line about a CRL that is used from now on."""
    number = None if good.number is None else str(good.number)
    return {
        "bundle": source.terms.bundle, "source": good.url, "issuer": good.issuer, "crl_number": number,
        "this_update": written(good.this_update), "next_update": written(good.next_update), "entries": good.entries,
        "verified": good.verified, "detail": good.worry,
    }  # fmt: skip


def written(seconds: float | None) -> str | None:
    """Write a Unix time as UTC, ISO 8601, to the second, as certificates and CRLs have it."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
