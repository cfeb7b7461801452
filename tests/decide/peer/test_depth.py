"""Depth: which certificates of a chain are looked up."""

from __future__ import annotations

import pytest

from proxy.decide.peer.depth import Check, looked_up
from tests.support.certificates import make_ca, make_leaf

ROOT = make_ca("Root")
MIDDLE = make_ca("Middle", ROOT)
CHAIN = tuple(issued.certificate for issued in (make_leaf(MIDDLE), MIDDLE, ROOT))


@pytest.mark.parametrize(("check", "count"), [(Check.CHAIN, 2), (Check.LEAF, 1), (Check.NONE, 0)])
def test_the_anchor_is_not_looked_up(check: Check, count: int) -> None:
    """All below it, or the leaf."""
    assert looked_up(CHAIN, check) == CHAIN[:count]


@pytest.mark.parametrize("check", list(Check))
def test_a_leaf_that_is_an_anchor_is_taken_as_it_is(check: Check) -> None:
    """Nobody stands above it."""
    assert looked_up(CHAIN[:1], check) == ()
