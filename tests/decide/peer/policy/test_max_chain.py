"""max_chain: leaf and anchor included."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.decide.peer.policy.max_chain import LONGEST, MaxChain
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, identity_of, make_ca, make_leaf

_ROOT = make_ca("Root")
_MIDDLE = make_ca("Middle", _ROOT)
_LEAF = make_leaf(_MIDDLE)


@pytest.mark.parametrize(("limit", "admitted"), [(1, False), (2, False), (3, True), (LONGEST, True)])
def test_chains_of_three(limit: int, admitted: bool) -> None:
    """A leaf, an intermediate and a root are three."""
    refusal = MaxChain.from_setting(limit).judge(identity_of(_LEAF, _MIDDLE, _ROOT), NOW)
    assert (refusal is None) is admitted
    assert refusal is None or refusal.reason is Reason.CHAIN_TOO_LONG


def test_a_chain_ends_at_its_anchor() -> None:
    """Where the intermediate is the anchor, they are two."""
    assert MaxChain.from_setting(2).judge(identity_of(_LEAF, _MIDDLE), NOW) is None


@pytest.mark.parametrize("setting", [0, -1, LONGEST + 1, 3.0, "3", True, None, [3]])
def test_what_is_no_number_of_certificates_is_an_error(setting: Any) -> None:
    """Also a number that no chain can have."""
    with pytest.raises(ValueError, match=f"is not a whole number from 1 to {LONGEST}: leaf and anchor count"):
        MaxChain.from_setting(setting)


def test_it_says_what_it_asks() -> None:
    """In one line."""
    assert str(MaxChain.from_setting(3)) == "a chain of at most 3 certificates, leaf and anchor included"
