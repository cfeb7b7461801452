"""The leaf must not have been issued for longer than this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.units import SECONDS, parse_duration
from proxy.decide.verdict import Identity, Reason, Refused


@dataclass(frozen=True, slots=True)
class MaxLifetime(Timeless):
    """Bound the whole time from ``notBefore`` to ``notAfter``, not the time that is left. ``limit`` is in seconds."""

    key: ClassVar[str] = "max_lifetime"
    limit: float

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a duration such as ``90d``."""
        if not isinstance(setting, str):
            raise ValueError(f"{setting!a} is not a duration such as 90d or 12h")  # noqa: TRY004 - a wrong setting
        limit = parse_duration(setting)
        if not limit:
            raise ValueError(f"{setting!r} would admit nobody; write a duration such as 90d or 12h")
        return cls(limit)

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse a leaf that lives longer."""
        lifetime = identity.leaf.not_after - identity.leaf.not_before
        if lifetime <= self.limit:
            return None
        detail = f"issued for {_days(lifetime)}; at most {_days(self.limit)} are allowed"
        return Refused(Reason.LIFETIME_TOO_LONG, detail, 0)

    def __str__(self) -> str:
        return f"a lifetime of at most {_days(self.limit)}"


def _days(seconds: float) -> str:
    days, rest = divmod(int(seconds), SECONDS["d"])
    return f"{days} days" if not rest else f"{days} days and {rest} s"
