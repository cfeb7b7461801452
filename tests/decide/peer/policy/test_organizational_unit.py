"""organizational_unit: exact values of the leaf's subject."""

from __future__ import annotations

import pytest

from proxy.decide.peer.policy.organizational_unit import OrganizationalUnit
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, identity_of, make_ca, make_leaf, name


@pytest.mark.parametrize(
    ("units", "admitted"),
    [
        (["Edge"], True),
        (["Other", "Edge"], True),
        (["edge"], False),
        (["Edge "], False),
        (["Edge\0"], False),
        ([], False),
    ],
)
def test_units(units: list[str], admitted: bool) -> None:
    """One of the leaf's units is in the list, exactly, or it is refused."""
    leaf = make_leaf(None, subject=name("Edge", organization="Edge", units=units))
    refusal = OrganizationalUnit.from_setting(["Edge", "Delivery"]).judge(identity_of(leaf), NOW)
    assert (refusal is None) is admitted
    assert refusal is None or refusal.reason is Reason.NAME_NOT_ALLOWED


def test_an_issuers_unit_does_not_count() -> None:
    """Identity is the leaf."""
    issuer = make_ca(subject=name("CA", units=["Edge"]))
    refusal = OrganizationalUnit.from_setting(["Edge"]).judge(identity_of(make_leaf(issuer), issuer), NOW)
    assert refusal is not None
    assert refusal.detail == "organizational units []; the rule allows [Edge]"


@pytest.mark.parametrize("text", ["", " Edge", "Edge ", "OU=Edge", "Edge*"])
def test_mistakes_are_errors(text: str) -> None:
    """What looks like a name, a pattern or a slip of the finger would never match."""
    with pytest.raises(ValueError, match=r"write the (whole )?value"):
        OrganizationalUnit.from_setting([text])


def test_it_says_what_it_asks() -> None:
    """In one line."""
    assert str(OrganizationalUnit.from_setting(["A", "B"])) == "an organizational unit in [A, B]"
