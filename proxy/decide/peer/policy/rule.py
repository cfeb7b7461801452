"""What a policy rule is."""

from __future__ import annotations

from math import inf
from typing import ClassVar, Protocol, Self

from proxy.decide.verdict import Identity, Refused


class Rule(Protocol):
    """One condition on a verified identity; its fields are its settings.

    ``key`` is its name in the configuration. All rules of a policy must hold; within one rule's list any
    entry will do, and an empty list admits nobody.
    """

    key: ClassVar[str]

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from its YAML value; raise ValueError saying what is wrong with it and what is expected."""

    def judge(self, identity: Identity, now: float, /) -> Refused | None:
        """Return None where the identity satisfies the rule at Unix time ``now``, else the refusal."""

    def expires(self, identity: Identity, /) -> float:
        """Return the Unix time at which the clock alone makes this rule refuse ``identity`` (``inf``: never)."""

    def __str__(self) -> str:
        """Return the setting in one line, for explain and check."""


class Timeless:
    """A rule whose verdict the clock never changes: most are."""

    __slots__ = ()

    def expires(self, _identity: Identity, /) -> float:
        """Return infinity."""
        return inf
