"""Results survive their file, and a run that was cut off goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.results import Journal, Results, ResultsError, machine, newest, read

PLAN = {"rows": ["requests"], "rounds": 2}


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    """Medians, ranges and ratios are those of the values."""
    made = Results(date="2026-01-02T03:04:05+00:00", about={"machine": machine()})
    for ours, theirs in ((3.0, 2.0), (9.0, 2.5), (4.0, 1.0)):
        made.add("requests", "originward", {"cpu_us": ours})
        made.add("requests", "nginx", {"cpu_us": theirs})
    made.write(tmp_path / "results.json")
    found = read(tmp_path / "results.json")
    assert found == made
    assert found.median("requests", "originward", "cpu_us") == 4.0
    assert found.spread("requests", "originward", "cpu_us") == (3.0, 9.0)
    assert found.ratio("requests", "cpu_us", "nginx") == 2.0
    assert found.ratio("requests", "cpu_us", "caddy") is None


def test_the_newest_is_that_of_the_latest_date(tmp_path: Path) -> None:
    """Whatever the files are called."""
    assert newest(tmp_path) is None
    for name, date in (("b", "2026-01-01"), ("a", "2026-03-01"), ("c", "2026-02-01")):
        Results(date=date, about={}).write(tmp_path / f"{name}.json")
    found = newest(tmp_path)
    assert found is not None
    assert found.date == "2026-03-01"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 0}', '{"format": 1}'])
def test_another_file_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    """Not read halfway."""
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(ResultsError, match=r"odd\.json"):
        read(tmp_path / "odd.json")


def test_a_journal_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    """A line that is cut in the middle is measured again."""
    path = tmp_path / "journal"
    first = Journal.resume(path, PLAN)
    first.add(0, "requests", "nginx", {"cpu_us": 1.0})
    first.add(0, "requests", "originward", {"cpu_us": 2.0})
    path.write_text(path.read_text()[:-5])
    again = Journal.resume(path, PLAN)
    assert again.has(0, "requests", "nginx")
    assert not again.has(0, "requests", "originward")
    again.add(0, "requests", "originward", {"cpu_us": 3.0})
    last = Journal.resume(path, PLAN)
    found = Results(date="", about={})
    last.fill(found, ["requests"])
    assert found.rows == {"requests": {"nginx": {"cpu_us": [1.0]}, "originward": {"cpu_us": [3.0]}}}


def test_a_journal_of_another_plan_is_not_mixed_in(tmp_path: Path) -> None:
    """Another machine, version or list of rows is another run."""
    path = tmp_path / "journal"
    Journal.resume(path, PLAN).add(0, "requests", "nginx", {"cpu_us": 1.0})
    assert not Journal.resume(path, {**PLAN, "rounds": 3}).done
    assert json.loads(path.read_text()) == {"plan": {**PLAN, "rounds": 3}}
