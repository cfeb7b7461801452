"""spki_pins: the leaf's public key."""

from __future__ import annotations

from proxy.decide.peer.policy.spki_pins import SpkiPins
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, identity_of, make_ca, make_leaf

_CA = make_ca()
_LEAF = make_leaf(_CA)


def _rule(digest: str) -> SpkiPins:
    return SpkiPins.from_setting([f"sha256:{'00' * 32}", f"sha256:{digest}"])


def test_the_key_admits_also_after_a_renewal() -> None:
    """A new certificate for the same key has the same pin."""
    rule = _rule(_LEAF.certificate.spki_sha256)
    assert rule.judge(identity_of(_LEAF, _CA), NOW) is None
    assert rule.judge(identity_of(make_leaf(_CA, key=_LEAF.key), _CA), NOW) is None


def test_another_key_refuses() -> None:
    """With the pin that would have admitted it, to copy."""
    other = make_leaf(_CA)
    refusal = _rule(_LEAF.certificate.spki_sha256).judge(identity_of(other, _CA), NOW)
    assert refusal is not None
    assert refusal.reason is Reason.PIN_MISMATCH
    assert refusal.detail.startswith(f"public key [sha256:{other.certificate.spki_sha256}]; the rule allows [sha256:00")


def test_an_issuers_key_or_the_certificates_digest_is_no_pin_of_the_leaf() -> None:
    """Identity is the leaf, and its key is not its certificate."""
    for digest in (_CA.certificate.spki_sha256, _LEAF.certificate.fingerprint):
        assert _rule(digest).judge(identity_of(_LEAF, _CA), NOW) is not None


def test_it_says_what_it_asks() -> None:
    """In one line."""
    assert str(SpkiPins.from_setting([f"sha256:{'AB' * 32}"])) == f"a public key in [sha256:{'ab' * 32}]"
