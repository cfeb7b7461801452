"""The leaf must have one of these URIs (SPIFFE IDs among them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from proxy.decide.peer.policy.patterns import Pattern, judge_names, uri_pattern
from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.peer.policy.settings import entries
from proxy.decide.text import listed
from proxy.decide.verdict import Identity, Refused


@dataclass(frozen=True, slots=True)
class SanUri(Timeless):
    """Compare URIs of the subject alternative name, and nothing else, with patterns."""

    key: ClassVar[str] = "san_uri"
    patterns: tuple[Pattern, ...]

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a list of URIs, in which ``*`` stands within a segment, ``**`` for segments."""
        return cls(entries(setting, uri_pattern, '["spiffe://corp/cdn/*"]'))

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse a leaf without a URI that matches."""
        return judge_names("URIs", identity.leaf.san_uri, self.patterns)

    def __str__(self) -> str:
        return f"a URI in {listed(self.patterns)}"
