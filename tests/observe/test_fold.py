"""Folding of equal refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.fold import WINDOW, Fold, Summary

ALL = 10**6


def refuse(fold: Fold[str], key: str, now: float, weight: int = 1) -> int:
    """Do as Log does; return the number of lines that went out."""
    if fold.count(key, now):
        return 0
    fold.open(key, f"line of {key}", weight, now)
    return 1


# Each row: the refusals as (key, time), the time of the tick, the lines written at once, the summaries then due.
ROWS: list[tuple[str, list[tuple[str, float]], float, int, list[Summary[str]]]] = [
    ("one refusal is one line and no summary", [("a", 0)], 99, 1, []),
    ("equal ones are counted", [("a", 0), ("a", 1), ("a", 4)], 10, 1, [Summary("line of a", 2, 0, 4)]),
    ("a window that is open has no summary yet", [("a", 0), ("a", 1)], 9.9, 1, []),
    ("different ones are not folded", [("a", 0), ("b", 0)], 99, 2, []),
    (
        "windows close in the order of their opening",
        [("b", 0), ("a", 1), ("b", 2), ("a", 2)],
        99,
        2,
        [Summary("line of b", 1, 0, 2), Summary("line of a", 1, 1, 2)],
    ),
    ("only what is over closes", [("a", 0), ("b", 5), ("a", 6), ("b", 6)], 10, 2, [Summary("line of a", 1, 0, 6)]),
]


@pytest.mark.parametrize(("refusals", "tick", "lines", "due"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_equal_refusals_fold(
    refusals: list[tuple[str, float]], tick: float, lines: int, due: list[Summary[str]]
) -> None:
    """The first of a key is written, equal ones within the window are counted and summed up at its end."""
    fold: Fold[str] = Fold(WINDOW)
    assert sum(refuse(fold, key, now) for key, now in refusals) == lines
    assert fold.due(tick, ALL) == due


def test_a_closed_window_opens_again_with_a_line() -> None:
    """After the summary the next refusal is news again."""
    fold: Fold[str] = Fold(WINDOW)
    refuse(fold, "a", 0)
    fold.due(WINDOW, ALL)
    assert refuse(fold, "a", WINDOW) == 1


def test_a_full_table_folds_no_new_keys_but_loses_none() -> None:
    """Beyond the limit of keys every refusal is a line, and windows that are open go on."""
    fold: Fold[str] = Fold(WINDOW, max_keys=1)
    assert [refuse(fold, key, 0) for key in ("a", "b", "b", "a")] == [1, 1, 1, 0]
    assert len(fold) == 1


def test_large_lines_fill_the_table_by_their_size() -> None:
    """The octets kept are bounded whatever the number of keys, and closing a window gives them back."""
    fold: Fold[str] = Fold(WINDOW, max_bytes=100)
    assert [refuse(fold, key, 0, weight=60) for key in ("a", "b")] == [1, 1]
    assert len(fold) == 1
    fold.due(WINDOW, ALL)
    refuse(fold, "b", WINDOW, weight=60)
    assert len(fold) == 1


def test_a_tick_gives_no_more_summaries_than_asked_for() -> None:
    """The loop is not held by a table full of summaries: the rest comes with the next ticks."""
    fold: Fold[str] = Fold(WINDOW)
    for key in map(str, range(10)):
        refuse(fold, key, 0)
        refuse(fold, key, 0)
    assert [len(fold.due(99, 4)) for _ in range(4)] == [4, 4, 2, 0]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 8), st.integers(0, 3)), max_size=60),
    st.integers(0, 4),
    st.integers(0, 6),
)
def test_every_refusal_is_counted_exactly_once(
    steps: list[tuple[str, float, int]], max_keys: int, max_bytes: int
) -> None:
    """Lines and counts together sum to the number of refusals, for any table size and any ticks in between."""
    fold: Fold[str] = Fold(WINDOW, max_keys, max_bytes)
    now = 0.0
    written = folded = 0
    for key, pause, most in steps:
        now += pause
        folded += sum(summary.folded for summary in fold.due(now, most))
        written += refuse(fold, key, now)
    folded += sum(summary.folded for summary in fold.drain())
    assert written + folded == len(steps)
    assert len(fold) == 0
