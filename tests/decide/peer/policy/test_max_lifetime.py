"""max_lifetime: from notBefore to notAfter."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.decide.peer.policy.max_lifetime import MaxLifetime
from proxy.decide.verdict import Reason
from tests.support.certificates import DAY, NOW, identity_of, make_leaf


@pytest.mark.parametrize(
    ("lifetime", "admitted"), [(1, True), (90 * DAY, True), (90 * DAY + 1, False), (900 * DAY, False)],
)
def test_lifetimes(lifetime: float, admitted: bool) -> None:
    """The limit itself is admitted, a second more is not; how much is left does not matter."""
    leaf = make_leaf(None, not_before=NOW - lifetime + 1, not_after=NOW + 1)
    refusal = MaxLifetime.from_setting("90d").judge(identity_of(leaf), NOW)
    assert (refusal is None) is admitted
    assert refusal is None or refusal.reason is Reason.LIFETIME_TOO_LONG


def test_the_detail_has_both_numbers() -> None:
    """In days, with the rest in seconds."""
    leaf = make_leaf(None, not_before=NOW - 100 * DAY, not_after=NOW + 5)
    refusal = MaxLifetime.from_setting("90d").judge(identity_of(leaf), NOW)
    assert refusal is not None
    assert refusal.detail == "issued for 100 days and 5 s; at most 90 days are allowed"


@pytest.mark.parametrize("setting", [90, "90", "", "90 days", "-1d", "0d", None, ["90d"], True])
def test_what_is_no_duration_is_an_error(setting: Any) -> None:
    """Also nothing at all, which would admit nobody."""
    with pytest.raises(ValueError, match="a duration such as"):
        MaxLifetime.from_setting(setting)


def test_it_says_what_it_asks() -> None:
    """In one line."""
    assert str(MaxLifetime.from_setting("36h")) == "a lifetime of at most 1 days and 43200 s"
