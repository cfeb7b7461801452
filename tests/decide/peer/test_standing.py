"""Standing: several sources say how a chain stands, and all of them have to be content."""

from __future__ import annotations

from itertools import permutations
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.decide.peer.needs import CrlNeed
from proxy.decide.peer.standing import Good, Standing, Waiting, all_of
from proxy.decide.verdict import Reason, Refused

A, B = (CrlNeed("cdn", (f"http://{name}.example/",), "ab" * 32, 0) for name in "ab")
REVOKED, MISSING = Refused(Reason.REVOKED, "listed"), Refused(Reason.CRL_MISSING, "none")
SOON, LATE = Good(until=10.0), Good(until=20.0)
SOFT, HARD = Waiting((A,), LATE), Waiting((B, A), MISSING)


def test_nobody_asked_is_good() -> None:
    """For ever."""
    assert all_of([]) == Good((), inf)


@pytest.mark.parametrize(
    ("found", "together"),
    [
        ((SOON, LATE), SOON),
        ((LATE, MISSING, HARD), MISSING),
        ((MISSING, REVOKED, SOFT), REVOKED),
        ((SOON, SOFT), Waiting((A,), SOON)),
        ((SOFT, HARD, SOON), Waiting((A, B), MISSING)),
        ((Good(refresh=(A,)), Good(refresh=(A, B))), Good(refresh=(A, B))),
    ],
)
def test_the_worst_counts(found: tuple[Standing, ...], together: Standing) -> None:
    """In any order; what is needed is asked for once."""
    assert all_of(found) == together
    for order in permutations(found):
        assert type(all_of(order)) is type(together)


@settings(deadline=None)
@given(st.lists(st.sampled_from([SOON, LATE, REVOKED, MISSING, SOFT, HARD])))
def test_only_good_ones_are_good_together(found: list[Standing]) -> None:
    """And a refusal never waits."""
    together = all_of(found)
    assert isinstance(together, Good) is all(isinstance(one, Good) for one in found)
    assert isinstance(together, Refused) is any(isinstance(one, Refused) for one in found)
    if REVOKED in found:
        assert together == REVOKED
