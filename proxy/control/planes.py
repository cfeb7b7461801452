"""The planes: what changes a snapshot, and what carries traffic under it, as each sees the other.

Both are in one process where there is one worker; with several, a socket is between them, so whatever is passed is
plain values that can be pickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.decide.peer.answers import Outcome
from proxy.decide.peer.needs import Need
from proxy.snapshot.prepared import Prepared


class PublishError(Exception):
    """A generation that could not be put in force; the one before it is, everywhere. The message says why."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How a need ended, and whose status it is about (a lower-case hexadecimal SHA-256)."""

    outcome: Outcome
    fingerprint: str


class Publisher(Protocol):
    """Whatever puts generations in force."""

    async def publish(self, prepared: Prepared, generation: int) -> None:
        """Put a generation in force: everywhere, or nowhere. Raises PublishError."""


class DataPlane(Publisher, Protocol):
    """The processes that carry traffic, seen from the control plane."""

    def settle(self, outcomes: Mapping[bytes, Settled]) -> None:
        """Pass on how needs ended, by their keys. A CRL that arrived was published before."""


class ControlPlane(Protocol):
    """What fetches and reloads, seen from the data plane."""

    def ask(self, needs: Sequence[Need]) -> None:
        """Fetch what is needed; each need ends in ``settle`` under its key. Asking twice is asking once."""
