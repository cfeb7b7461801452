"""Faults as the log shows them."""

from __future__ import annotations

from proxy.observe.faults import MAX_TRACE, fault_fields


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
