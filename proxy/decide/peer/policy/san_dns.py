"""The leaf must have one of these DNS names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from proxy.decide.peer.policy.patterns import Pattern, dns_pattern, judge_names
from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.peer.policy.settings import entries
from proxy.decide.text import listed
from proxy.decide.verdict import Identity, Refused


@dataclass(frozen=True, slots=True)
class SanDns(Timeless):
    """Compare DNS names of the subject alternative name, and nothing else, with patterns."""

    key: ClassVar[str] = "san_dns"
    patterns: tuple[Pattern, ...]

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a list of DNS names, in which ``*`` stands for a label or a part of one."""
        return cls(entries(setting, dns_pattern, '["*.cdn.example.com"]'))

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse a leaf without a DNS name that matches."""
        return judge_names("DNS names", identity.leaf.san_dns, self.patterns)

    def __str__(self) -> str:
        return f"a DNS name in {listed(self.patterns)}"
