"""Text: whatever a certificate says, what is shown of it is short and printable."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.text import MAX_LISTED, listed, printable


def test_control_characters_are_escaped() -> None:
    """Line ends, escapes and NUL are shown, not executed."""
    assert printable("a\r\nb\x1b[2J\0é\u202e") == r"a\r\nb\x1b[2J\x00\xe9\u202e"


def test_what_is_too_long_is_cut() -> None:
    """The cut is visible."""
    assert printable("a" * 20, 10) == "aaaaaaa..."


def test_a_long_list_is_counted() -> None:
    """What is left out has a number."""
    assert listed(["a", "b"]) == "[a, b]"
    assert listed(["x" * 90] * 5) == f"[{'x' * 90}, {'x' * 90}, and 3 more]"


@given(st.text(), st.integers(8, 64))
def test_everything_is_printable_and_bounded(text: str, limit: int) -> None:
    """No text leaves printable ASCII or its limit."""
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert all(" " <= character <= "~" for character in shown)


@given(st.lists(st.text(max_size=400)))
def test_every_list_is_printable_and_bounded(values: list[str]) -> None:
    """No list leaves printable ASCII, nor much more than its limit."""
    shown = listed(values)
    assert len(shown) <= 2 * MAX_LISTED
    assert all(" " <= character <= "~" for character in shown)
