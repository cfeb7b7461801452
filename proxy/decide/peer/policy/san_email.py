"""The leaf must have one of these mail addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from proxy.decide.peer.policy.patterns import Pattern, email_pattern, judge_names
from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.peer.policy.settings import entries
from proxy.decide.text import listed
from proxy.decide.verdict import Identity, Refused


@dataclass(frozen=True, slots=True)
class SanEmail(Timeless):
    """Compare mail addresses of the subject alternative name, and nothing else, with patterns."""

    key: ClassVar[str] = "san_email"
    patterns: tuple[Pattern, ...]

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a list of addresses, in which ``*`` stands within the local part or a label."""
        return cls(entries(setting, email_pattern, '["*@partner.example"]'))

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse a leaf without a mail address that matches."""
        return judge_names("mail addresses", identity.leaf.san_email, self.patterns)

    def __str__(self) -> str:
        return f"a mail address in {listed(self.patterns)}"
