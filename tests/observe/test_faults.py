"""Faults as the log shows them."""

from __future__ import annotations

import pytest

from proxy.observe.faults import MAX_TRACE, caught_by_loop, fault_fields, report_fault
from proxy.observe.log import Log
from proxy.observe.metrics import Metrics
from tests.support.logged import logged


def dig(depth: int) -> None:
    """Fail some calls further down."""
    if not depth:
        raise KeyError("x")
    dig(depth - 1)


def test_a_fault_is_shown_with_the_innermost_calls() -> None:
    """The last one is where it was raised; those further out are left out."""
    try:
        dig(20)
    except KeyError as fault:
        fields = fault_fields(fault)
    assert fields["detail"] == "KeyError: 'x'"
    assert fields["reason"] == "internal-error"
    assert len(fields["trace"]) == MAX_TRACE
    assert fields["trace"][-1].startswith("test_faults.py:")
    assert fields["trace"][-1].endswith(" dig")


def test_a_fault_that_was_never_raised_has_no_trace() -> None:
    """The event loop sometimes has a message only."""
    assert fault_fields(RuntimeError("lost"))["trace"] == []


def test_equal_faults_are_counted_and_share_a_line() -> None:
    """Whatever goes wrong with every connection must not fill the disk."""
    metrics = Metrics()

    def fail(log: Log) -> None:
        for where in ("a deadline", "a deadline", "a change"):
            report_fault(log, metrics, where, KeyError("x"))

    lines = logged(fail)
    assert metrics.internal_errors == 3
    assert [line["where"] for line in lines if "folded" not in line] == ["a deadline", "a change"]
    assert sum(line.get("folded", 0) for line in lines) == 1


@pytest.mark.parametrize(
    ("context", "shown"),
    [
        ({"message": "a task", "exception": KeyError("x")}, ("a task", "KeyError('x')")),
        ({"message": "lost"}, ("lost", "RuntimeError('lost')")),
        ({}, ("event loop", "RuntimeError('event loop')")),
    ],
)
def test_what_the_loop_caught_is_a_fault_with_its_place(context: dict[str, object], shown: tuple[str, str]) -> None:
    """Also where it says little."""
    where, fault = caught_by_loop(context)
    assert (where, repr(fault)) == shown
