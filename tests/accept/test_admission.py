"""Admission: limits on what is open, what is under way, and how fast it comes from one address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.accept.admission import BURST_SECONDS, MAX_ADDRESSES, Admission, AdmissionLimits
from proxy.decide.verdict import Reason, Refused

HERE = "192.0.2.1"


@pytest.mark.parametrize(
    ("connections", "handshakes", "refusal"),
    [
        (0, 0, None),
        (9, 4, None),
        (10, 0, Refused(Reason.TOO_MANY_CONNECTIONS, "10 connections are open")),
        (11, 0, Refused(Reason.TOO_MANY_CONNECTIONS, "10 connections are open")),
        (9, 5, Refused(Reason.TOO_MANY_CONNECTIONS, "5 handshakes are in progress")),
        (10, 5, Refused(Reason.TOO_MANY_CONNECTIONS, "10 connections are open")),
    ],
)
def test_what_is_open_and_under_way_is_bounded(connections: int, handshakes: int, refusal: Refused | None) -> None:
    """The last place is given away, the one after it is not."""
    admission = Admission(AdmissionLimits(10, 5, None))
    admission.connections, admission.handshakes = connections, handshakes
    assert admission.judge(HERE, 0.0) == refusal


def rated(rate: float) -> Admission:
    """Limit nothing but the rate."""
    return Admission(AdmissionLimits(10**6, 10**6, rate))


# Each row: the rate, the times of arrival, and which of them are admitted.
@pytest.mark.parametrize(
    ("rate", "times", "admitted"),
    [
        (1.0, [0, 0], [True, False]),
        (1.0, [0, 0.9, 1.0], [True, False, True]),
        (3.0, [0, 0, 0, 0], [True, True, True, False]),
        (3.0, [0, 0, 0, 1, 1, 1, 1], [True, True, True, True, True, True, False]),
        (3.0, [0, 60, 60, 60, 60], [True, True, True, True, False]),
        (0.5, [0, 1, 2, 3, 4], [True, False, True, False, True]),
        (0.1, [0, 5, 9.9, 10], [True, False, False, True]),
    ],
)
def test_an_address_spends_what_its_bucket_holds(rate: float, times: list[float], admitted: list[bool]) -> None:
    """A burst is a second's worth, but never less than one; silence saves no more than that."""
    admission = rated(rate)
    verdicts = [admission.judge(HERE, time) for time in times]
    assert [verdict is None for verdict in verdicts] == admitted
    assert {verdict.reason for verdict in verdicts if verdict} == {Reason.RATE_LIMITED}


def test_addresses_do_not_spend_for_each_other() -> None:
    """One address that is out of tokens is no other's loss."""
    admission = rated(1.0)
    assert admission.judge(HERE, 0.0) is None
    assert admission.judge(HERE, 0.0) is not None
    assert admission.judge("192.0.2.2", 0.0) is None


def test_a_connection_over_the_other_limits_costs_no_token() -> None:
    """Who is refused for lack of room may come in as soon as there is some."""
    admission = rated(1.0)
    admission.connections = 10**6
    assert admission.judge(HERE, 0.0) is not None
    admission.connections = 0
    assert admission.judge(HERE, 0.0) is None


def test_the_longest_silent_address_is_forgotten_first() -> None:
    """The table is bounded; an address that keeps coming stays known in it."""
    admission = rated(1e-6)
    assert admission.judge("first", 0.0) is None
    assert admission.judge("second", 0.0) is None
    assert admission.judge("first", 0.0) is not None
    for number in range(MAX_ADDRESSES - 1):
        admission.judge(f"other {number}", 0.0)
    assert admission.judge("first", 0.0) is not None
    assert admission.judge("second", 0.0) is None
    assert len(admission._tokens) == MAX_ADDRESSES


@given(
    st.floats(0.01, 1000),
    st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_no_span_of_time_admits_more_than_the_rate_and_a_burst(rate: float, pauses: list[float]) -> None:
    """For every pair of arrivals: those admitted between them are at most rate times span, and a burst."""
    admission, now, admitted = rated(rate), 0.0, []
    for pause in pauses:
        now += pause
        if admission.judge(HERE, now) is None:
            admitted.append(now)
    burst = max(1.0, rate * BURST_SECONDS)
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= burst + rate * (admitted[last] - start) + 1e-6


@given(st.floats(0.01, 1000), st.integers(1, 60))
def test_who_keeps_to_the_rate_is_always_admitted(rate: float, times: int) -> None:
    """One arrival in each of its periods, however many."""
    admission = rated(rate)
    assert [admission.judge(HERE, number / rate * (1 + 1e-9)) for number in range(times)] == [None] * times
