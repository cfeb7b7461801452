"""Breaker: a silent server costs its time-out once, a stumbling one has three tries, and each is tried again."""

from __future__ import annotations

from proxy.control.breaker import FIRST_WAIT, MAX_FAILURES, MAX_WAIT, Breaker


def test_one_time_out_suffices() -> None:
    """Each more would cost somebody as long."""
    breaker = Breaker()
    assert breaker.failed(0.0, 2.0, slow=True)
    assert (breaker.is_open, breaker.probe_at) == (True, 2.0 + FIRST_WAIT)
    assert not breaker.failed(0.0, 2.0, slow=True), "those who waited beside it change nothing"
    assert breaker.probe_at == 2.0 + FIRST_WAIT


def test_a_time_out_beside_answers_is_chance() -> None:
    """The server answered others while this one waited."""
    breaker = Breaker()
    breaker.answered(1.0)
    assert not breaker.failed(0.5, 2.5, slow=True)
    assert breaker.failed(1.5, 3.5, slow=True), "this one began after the last answer"


def test_quick_failures_have_to_be_several_in_a_row() -> None:
    """A single reset is chance, and cost nobody any time."""
    breaker = Breaker()
    opened = [breaker.failed(at, at, slow=False) for at in range(MAX_FAILURES)]
    assert opened == [False] * (MAX_FAILURES - 1) + [True]
    assert breaker.answered(9.0), "it was left alone until now"
    assert not breaker.answered(9.0)
    assert not breaker.failed(10.0, 10.0, slow=False), "the count starts anew"


def test_probes_back_off_up_to_a_limit() -> None:
    """A server that is gone for the night is not asked every second; a new outage starts from the first wait."""
    breaker = Breaker()
    breaker.failed(0.0, 0.0, slow=True)
    waits = []
    for _ in range(8):
        at = breaker.probe_at or 0.0
        breaker.probe_failed(at)
        waits.append((breaker.probe_at or 0.0) - at)
    assert waits == [2.0, 4.0, 8.0, 16.0, *[MAX_WAIT] * 4]
    breaker.answered(1000.0)
    breaker.failed(1001.0, 1002.0, slow=True)
    assert breaker.probe_at == 1002.0 + FIRST_WAIT
