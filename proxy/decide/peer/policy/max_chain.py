"""The verified chain must not have more certificates than this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from proxy.decide.peer.chain import MAX_INTERMEDIATES
from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.verdict import Identity, Reason, Refused

LONGEST: Final = MAX_INTERMEDIATES + 2
"""The leaf, the intermediates that are followed at all, and the anchor."""


@dataclass(frozen=True, slots=True)
class MaxChain(Timeless):
    """Bound the number of certificates of the verified chain, the leaf and the anchor included.

    2 is a leaf that the anchor itself issued, 3 leaves room for one intermediate. What else the client sent does
    not count; where an intermediate is the anchor, the chain ends there.
    """

    key: ClassVar[str] = "max_chain"
    limit: int

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a number of certificates."""
        if not isinstance(setting, int) or isinstance(setting, bool) or not 1 <= setting <= LONGEST:
            form = f"a whole number from 1 to {LONGEST}: leaf and anchor count, so 3 allows one intermediate"
            raise ValueError(f"{setting!a} is not {form}")
        return cls(setting)

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse an identity whose chain is longer."""
        length = 1 + len(identity.issuers)
        if length <= self.limit:
            return None
        detail = f"a chain of {length} certificates, leaf and anchor included; at most {self.limit} are allowed"
        return Refused(Reason.CHAIN_TOO_LONG, detail, self.limit)

    def __str__(self) -> str:
        return f"a chain of at most {self.limit} certificates, leaf and anchor included"
