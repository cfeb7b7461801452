"""The leaf's key must be of one of these types and sizes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from proxy.decide.facts import PublicKey
from proxy.decide.peer.chain import MIN_RSA_BITS, STRONG_CURVES
from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.peer.policy.settings import entries, refuse
from proxy.decide.text import listed, printable
from proxy.decide.verdict import Identity, Reason, Refused

_CURVES: Final = {"P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1"} | {c: c for c in STRONG_CURVES}
_RSA: Final = re.compile(r"RSA >= ?([0-9]{4,5})")


@dataclass(frozen=True, slots=True)
class KeyKind:
    """A kind of key: its type, its curve where it is EC, and the least number of bits."""

    kind: str
    curve: str | None = None
    bits: int = 0

    def covers(self, key: PublicKey) -> bool:
        """Whether ``key`` is of this kind."""
        return (key.kind, key.curve) == (self.kind, self.curve) and key.bits >= self.bits

    def __str__(self) -> str:
        if self.bits:
            return f"{self.kind} >= {self.bits}"
        return self.kind if self.curve is None else f"{self.kind} {self.curve}"


@dataclass(frozen=True, slots=True)
class Key(Timeless):
    """Compare the leaf's public key with the kinds that are allowed, beyond what every chain has to satisfy."""

    key: ClassVar[str] = "key"
    kinds: tuple[KeyKind, ...]

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a list of ``RSA >= <bits>``, ``EC <curve>``, ``Ed25519`` and ``Ed448``."""
        return cls(entries(setting, _parse, '["RSA >= 3072", "EC secp256r1", "Ed25519"]'))

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse a leaf with another kind of key."""
        key = identity.leaf.key
        if any(kind.covers(key) for kind in self.kinds):
            return None
        return refuse(Reason.KEY_NOT_ALLOWED, f"key [{key}]", self.kinds)

    def __str__(self) -> str:
        return f"a key in {listed(self.kinds)}"


def _parse(text: str) -> KeyKind:
    rsa = _RSA.fullmatch(text)
    if rsa is not None and int(rsa[1]) >= MIN_RSA_BITS:
        return KeyKind("RSA", None, int(rsa[1]))
    if text.startswith("EC ") and text[3:] in _CURVES:
        return KeyKind("EC", _CURVES[text[3:]])
    if text in ("Ed25519", "Ed448"):
        return KeyKind(text)
    form = f'"RSA >= 3072" ({MIN_RSA_BITS} at least), "EC secp256r1" (or secp384r1, secp521r1), "Ed25519" or "Ed448"'
    raise ValueError(f"{printable(text, 64)!r} is not a kind of key that can be allowed; write {form}")
