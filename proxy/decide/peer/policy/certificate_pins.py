"""The leaf must be one of these certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from proxy.decide.peer.policy.pins import EXAMPLE, Pin, parse_pin
from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.peer.policy.settings import entries, refuse
from proxy.decide.text import listed
from proxy.decide.verdict import Identity, Reason, Refused


@dataclass(frozen=True, slots=True)
class CertificatePins(Timeless):
    """Compare the digest of the leaf itself, never of another certificate of the chain, with pins."""

    key: ClassVar[str] = "certificate_pins"
    pins: tuple[Pin, ...]

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a list of SHA-256 pins in hexadecimal or base64."""
        return cls(entries(setting, parse_pin, EXAMPLE))

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse a leaf whose digest is not among the pins."""
        found = Pin(identity.leaf.fingerprint)
        if found in self.pins:
            return None
        return refuse(Reason.PIN_MISMATCH, f"certificate [{found}]", self.pins)

    def __str__(self) -> str:
        return f"a certificate in {listed(self.pins)}"
