"""not_after_limit: the day a contract ends."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from proxy.decide.peer.policy.not_after_limit import NotAfterLimit
from proxy.decide.verdict import Reason
from tests.support.certificates import identity_of, make_leaf

_IDENTITY = identity_of(make_leaf(None))
_NOON = datetime(2027, 3, 31, 12, tzinfo=UTC).timestamp()
_MIDNIGHT = datetime(2027, 4, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("setting", "end"),
    [
        ("2027-03-31", _MIDNIGHT),
        (date(2027, 3, 31), _MIDNIGHT),
        ("2027-03-31T12:00Z", _NOON),
        ("2027-03-31 12:00:00", _NOON),
        ("2027-03-31T14:00:00+02:00", _NOON),
        (datetime(2027, 3, 31, 12), _NOON),  # noqa: DTZ001 - as YAML reads a time without a zone
        (datetime(2027, 3, 31, 14, tzinfo=timezone(timedelta(hours=2))), _NOON),
    ],
)
def test_the_end(setting: Any, end: float) -> None:
    """A date is the last day that is admitted; a time is the first moment that is not; all of it is UTC."""
    rule = NotAfterLimit.from_setting(setting)
    assert rule.expires(_IDENTITY) == end
    assert rule.judge(_IDENTITY, end - 1) is None
    refusal = rule.judge(_IDENTITY, end)
    assert refusal is not None
    assert refusal.reason is Reason.CONTRACT_ENDED


@pytest.mark.parametrize(
    "setting",
    ["", "2027", "31.03.2027", "2027-3-31", "2027-02-30", "2027-W13-3", "20270331", "2027-03-31T25:00Z", "tomorrow",
     1806451200, None, ["2027-03-31"], True, "2027-03-31\n", "٢٠٢٧-٠٣-٣١"],
)
def test_what_is_no_date_is_an_error(setting: Any) -> None:
    """The message has the form that is expected."""
    with pytest.raises(ValueError, match=r"is not a date such as 2027-03-31 \(the last day admitted\) or a time"):
        NotAfterLimit.from_setting(setting)


def test_it_says_what_it_asks() -> None:
    """As it was written."""
    rule = NotAfterLimit.from_setting("2027-03-31")
    assert str(rule) == "up to 2027-03-31 (UTC)"
    refusal = rule.judge(_IDENTITY, _MIDNIGHT)
    assert refusal is not None
    assert refusal.detail == "clients are admitted up to 2027-03-31 (UTC)"
