"""What the supervisor and its workers say to each other. Everything can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.control.planes import Settled
from proxy.decide.peer.needs import Need
from proxy.snapshot.prepared import Prepared

# --- to a worker


@dataclass(frozen=True, slots=True)
class Stage:
    """Assemble a generation, and say ``Staged``; nothing is in force yet."""

    prepared: Prepared
    generation: int


@dataclass(frozen=True, slots=True)
class Swap:
    """Put the generation in force that was staged."""

    generation: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget the generation that was staged: somebody could not assemble it."""

    generation: int


@dataclass(frozen=True, slots=True)
class Settle:
    """How needs ended, by their keys."""

    outcomes: Mapping[bytes, Settled]


@dataclass(frozen=True, slots=True)
class Serve:
    """Accept from the sockets of exactly these workers: one's own, and those of workers that are not there."""

    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Count:
    """Send the counters."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Accept no more after ``linger`` seconds, finish what is under way within ``limit``, and end."""

    linger: float
    limit: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Do not wait for what is under way."""


# --- from a worker


@dataclass(frozen=True, slots=True)
class Staged:
    """A generation is assembled, or it is not and ``problem`` says why."""

    generation: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """These needs wait for an answer, or will."""

    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """The loop turns."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A part of the counters; the ``last`` one completes them."""

    part: Mapping[str, object]
    last: bool


@dataclass(frozen=True, slots=True)
class Drained:
    """The end: that many connections were cut."""

    cut: int
