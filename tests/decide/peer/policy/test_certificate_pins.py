"""certificate_pins: this very certificate."""

from __future__ import annotations

from proxy.decide.peer.policy.certificate_pins import CertificatePins
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, identity_of, make_ca, make_leaf

_CA = make_ca()
_LEAF = make_leaf(_CA)


def test_the_certificate_admits() -> None:
    """By its digest, among others."""
    rule = CertificatePins.from_setting([f"sha256:{'00' * 32}", f"sha256:{_LEAF.certificate.fingerprint}"])
    assert rule.judge(identity_of(_LEAF, _CA), NOW) is None


def test_a_renewal_is_another_certificate() -> None:
    """Even with the same key and the same name."""
    rule = CertificatePins.from_setting([f"sha256:{_LEAF.certificate.fingerprint}"])
    renewed = make_leaf(_CA, key=_LEAF.key)
    refusal = rule.judge(identity_of(renewed, _CA), NOW)
    assert refusal is not None
    assert refusal.reason is Reason.PIN_MISMATCH
    shown = f"certificate [sha256:{renewed.certificate.fingerprint}]; the rule allows [sha256:"
    assert refusal.detail.startswith(shown)


def test_an_issuers_certificate_is_no_pin_of_the_leaf() -> None:
    """Identity is the leaf."""
    rule = CertificatePins.from_setting([f"sha256:{_CA.certificate.fingerprint}"])
    assert rule.judge(identity_of(_LEAF, _CA), NOW) is not None


def test_it_says_what_it_asks() -> None:
    """In one line."""
    assert str(CertificatePins.from_setting([f"sha256:{'AB' * 32}"])) == f"a certificate in [sha256:{'ab' * 32}]"
