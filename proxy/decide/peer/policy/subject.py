"""The leaf's subject must have all attributes of one of these names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from proxy.decide.peer.policy.names import Attributes, parse_attributes
from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.peer.policy.settings import entries, refuse
from proxy.decide.text import listed
from proxy.decide.verdict import Identity, Reason, Refused


@dataclass(frozen=True, slots=True)
class Subject(Timeless):
    """Compare attributes of the leaf's subject, value by value, with those that are asked for."""

    key: ClassVar[str] = "subject"
    names: tuple[Attributes, ...]

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a list of RFC 4514 strings; each may name some of the attributes only."""
        return cls(entries(setting, parse_attributes, '["CN=edge,O=CDN"]'))

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse a leaf whose subject lacks an attribute of each of the names."""
        leaf = identity.leaf
        if any(name.within(leaf.x509.subject) for name in self.names):
            return None
        return refuse(Reason.NAME_NOT_ALLOWED, f"subject {listed([leaf.subject])}", self.names)

    def __str__(self) -> str:
        return f"subject with the attributes of one of {listed(self.names)}"
