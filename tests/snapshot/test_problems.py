"""Problems: their order, their form, and that nothing in them can play tricks on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.snapshot.problems import MAX_LINE, MAX_SHOWN, ConfigError, Problem, dotted

FILE = Path("o.yaml")


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("a",), "a"), (("a", 0, "b"), "a[0].b"),
     (("hosts", 1, "routes", 10, "path"), "hosts[1].routes[10].path")],
)
def test_a_key_path_reads_as_people_write_it(path: tuple[str | int, ...], text: str) -> None:
    """Keys are joined by dots, places in lists stand in brackets."""
    assert dotted(path) == text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem(FILE, 3, "a.b", "wrong"), "o.yaml:3: a.b: wrong"),
        (Problem(FILE, 3, "", "wrong"), "o.yaml:3: wrong"),
        (Problem(FILE, None, "", "wrong"), "o.yaml: wrong"),
        (Problem(FILE, 1, "a\x1b[2J", "b\nc"), "o.yaml:1: a\\x1b[2J: b\\nc"),
        (Problem(FILE, 1, "a", "\u202egnol"), "o.yaml:1: a: \\u202egnol"),
    ],
)
def test_a_problem_is_one_printable_line(problem: Problem, text: str) -> None:
    """Parts that there are none of are left out; control characters are escaped."""
    assert str(problem) == text


def test_a_long_problem_is_cut() -> None:
    """A name in a certificate may have a megabyte."""
    assert len(str(Problem(FILE, 1, "a", "x" * 100_000))) == MAX_LINE


def test_problems_come_in_the_order_of_lines_and_once() -> None:
    """The same fault may be found by two checks."""
    late, early = Problem(FILE, 10, "b", "x"), Problem(FILE, 2, "a", "x")
    assert str(ConfigError([late, early, late])) == "o.yaml:2: a: x\no.yaml:10: b: x"


def test_a_flood_of_problems_is_counted() -> None:
    """The first ones are shown, the others counted."""
    error = ConfigError(Problem(FILE, line, "a", "x") for line in range(MAX_SHOWN + 5))
    lines = str(error).splitlines()
    assert (len(lines), lines[-1]) == (MAX_SHOWN + 1, "and 5 problems more")
    assert len(error.problems) == MAX_SHOWN + 5
