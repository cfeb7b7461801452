"""The leaf's subject must have one of these organizational units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from cryptography.x509.oid import NameOID

from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.peer.policy.settings import entries, refuse
from proxy.decide.text import listed
from proxy.decide.verdict import Identity, Reason, Refused


@dataclass(frozen=True, slots=True)
class OrganizationalUnit(Timeless):
    """Compare the OU values of the leaf's subject, exactly, with those that are allowed."""

    key: ClassVar[str] = "organizational_unit"
    units: tuple[str, ...]

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a list of values; they are compared as they are, without wildcards."""
        return cls(entries(setting, _unit, '["Edge", "Delivery"]'))

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse a leaf without an organizational unit of the list."""
        attributes = identity.leaf.x509.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        values = [attribute.value for attribute in attributes if isinstance(attribute.value, str)]
        if not set(values).isdisjoint(self.units):
            return None
        return refuse(Reason.NAME_NOT_ALLOWED, f"organizational units {listed(values)}", self.units)

    def __str__(self) -> str:
        return f"an organizational unit in {listed(self.units)}"


def _unit(text: str) -> str:
    if not text or text != text.strip():
        raise ValueError(f"{text!a} is empty or has blanks around it; write the value as the certificate has it")
    if "*" in text or text.startswith("OU="):
        raise ValueError(f"{text!a}: write the whole value, without OU= and without wildcards")
    return text
