"""key: types and sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.decide.facts import PublicKey
from proxy.decide.peer.policy.key import Key
from proxy.decide.verdict import Identity, Reason
from tests.support.certificates import NOW, make_leaf

_LEAF = make_leaf(None).certificate


def _identity(key: PublicKey) -> Identity:
    return Identity(replace(_LEAF, key=key), (), "test")


@pytest.mark.parametrize(
    ("kind", "key", "admitted"),
    [
        ("RSA >= 3072", PublicKey("RSA", None, 3072), True),
        ("RSA >=3072", PublicKey("RSA", None, 4096), True),
        ("RSA >= 3072", PublicKey("RSA", None, 3071), False),
        ("RSA >= 2048", PublicKey("EC", "secp521r1", 521), False),
        ("RSA >= 2048", PublicKey("DSA", None, 3072), False),
        ("EC secp256r1", PublicKey("EC", "secp256r1", 256), True),
        ("EC P-256", PublicKey("EC", "secp256r1", 256), True),
        ("EC secp256r1", PublicKey("EC", "secp384r1", 384), False),
        ("EC secp256r1", PublicKey("EC", "secp256k1", 256), False),
        ("Ed25519", PublicKey("Ed25519", None, 256), True),
        ("Ed25519", PublicKey("Ed448", None, 456), False),
        ("Ed448", PublicKey("Ed448", None, 456), True),
        ("Ed448", PublicKey("other", None, 0), False),
    ],
)
def test_keys(kind: str, key: PublicKey, admitted: bool) -> None:
    """A key is of an allowed kind, or it is refused."""
    refusal = Key.from_setting([kind]).judge(_identity(key), NOW)
    assert (refusal is None) is admitted
    assert refusal is None or refusal.reason is Reason.KEY_NOT_ALLOWED


@pytest.mark.parametrize(
    "text",
    ["", "RSA", "RSA 3072", "rsa >= 3072", "RSA >= 1024", "RSA > 2048", "RSA >= 2048 bits", "EC", "EC secp256k1",
     "ECDSA P-256", "P-256", "EC >= 256", "ed25519", "DSA >= 2048"],
)
def test_other_kinds_are_errors(text: str) -> None:
    """Also what the chain check would refuse anyhow: the setting would promise what never happens."""
    with pytest.raises(ValueError, match='is not a kind of key that can be allowed; write "RSA >= 3072"'):
        Key.from_setting([text])


def test_it_says_what_it_asks_and_what_it_found() -> None:
    """In one line each."""
    rule = Key.from_setting(["RSA >= 3072", "EC P-384", "Ed25519"])
    assert str(rule) == "a key in [RSA >= 3072, EC secp384r1, Ed25519]"
    refusal = rule.judge(_identity(PublicKey("RSA", None, 2048)), NOW)
    assert refusal is not None
    assert refusal.detail == "key [RSA 2048]; the rule allows [RSA >= 3072, EC secp384r1, Ed25519]"
