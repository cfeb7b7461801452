"""issuer: the certificate that issued the leaf, as the chain proved it."""

from __future__ import annotations

from proxy.decide.peer.policy.issuer import Issuer
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, identity_of, make_ca, make_leaf, name

_ROOT = make_ca("Root")
_MIDDLE = make_ca("unused", _ROOT, subject=name("Partner Issuing CA", organization="Partner"))
_IDENTITY = identity_of(make_leaf(_MIDDLE), _MIDDLE, _ROOT)


def test_the_issuer_admits() -> None:
    """By all of its attributes, or by some."""
    for asked in ("CN=Partner Issuing CA", "CN=Partner Issuing CA,O=Partner", "O=Partner"):
        assert Issuer.from_setting(["CN=Other", asked]).judge(_IDENTITY, NOW) is None


def test_another_issuer_refuses() -> None:
    """With both names in the detail."""
    refusal = Issuer.from_setting(["CN=Partner Issuing CA,O=Other"]).judge(_IDENTITY, NOW)
    assert refusal is not None
    assert refusal.reason is Reason.ISSUER_NOT_ALLOWED
    assert refusal.detail == "issuer [CN=Partner Issuing CA,O=Partner]; the rule allows [CN=Partner Issuing CA,O=Other]"


def test_the_root_is_not_the_issuer() -> None:
    """Only the certificate right above the leaf counts."""
    assert Issuer.from_setting(["CN=Root"]).judge(_IDENTITY, NOW) is not None


def test_the_leafs_word_is_not_enough() -> None:
    """A leaf that is an anchor itself has no issuer that anything proved."""
    alone = identity_of(make_leaf(_MIDDLE))
    refusal = Issuer.from_setting(["O=Partner"]).judge(alone, NOW)
    assert refusal is not None
    assert refusal.detail == "issuer []; the rule allows [O=Partner]"


def test_it_says_what_it_asks() -> None:
    """In one line."""
    assert str(Issuer.from_setting(["CN=A", "CN=B"])) == "issuer with the attributes of one of [CN=A, CN=B]"
