"""The CA that issued the leaf must have all attributes of one of these names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from proxy.decide.peer.policy.names import Attributes, parse_attributes
from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.peer.policy.settings import entries, refuse
from proxy.decide.text import listed
from proxy.decide.verdict import Identity, Reason, Refused


@dataclass(frozen=True, slots=True)
class Issuer(Timeless):
    """Compare attributes of the certificate that issued the leaf, by their values.

    The name is that of the next certificate in the verified chain, not the leaf's word for it; a leaf that is an
    anchor itself has no verified issuer and is refused.
    """

    key: ClassVar[str] = "issuer"
    names: tuple[Attributes, ...]

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a list of RFC 4514 strings; each may name some of the attributes only."""
        return cls(entries(setting, parse_attributes, '["CN=Partner Issuing CA"]'))

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse a leaf whose issuer lacks an attribute of each of the names."""
        verified = identity.issuers[:1]
        if any(name.within(issuer.x509.subject) for issuer in verified for name in self.names):
            return None
        found = listed([issuer.subject for issuer in verified])
        return refuse(Reason.ISSUER_NOT_ALLOWED, f"issuer {found}", self.names)

    def __str__(self) -> str:
        return f"issuer with the attributes of one of {listed(self.names)}"
