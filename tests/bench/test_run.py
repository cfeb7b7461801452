"""A run goes through its plan in turn, resumes, and is not ended by one proxy's failure."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bench import run as running
from bench.load.client import AnswerError
from bench.measures import MEASURES, Effort, Figures
from bench.plan import BY_NAME, UNCOMPILED, Load
from bench.run import Plan, everybody, run
from bench.stage import Subject

pytestmark = [
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is the origin of a run, and a proxy"),
    pytest.mark.timeout(180),  # it starts a dozen servers
]

PLAN = Plan(rows=[BY_NAME["requests"], BY_NAME["idle"]], peers=[UNCOMPILED, "nginx"], rounds=2, effort=Effort(0.001))


def test_every_other_round_goes_the_other_way_round(tmp_path: Path) -> None:
    """Against drift; memory comes first, before loads stir it. A second call measures nothing again."""
    said: list[str] = []
    found = run(PLAN, tmp_path / "journal", said.append)
    assert [tuple(line.split()[1:4]) for line in said] == [
        ("1", "idle", UNCOMPILED), ("1", "idle", "nginx"), ("1", "requests", UNCOMPILED), ("1", "requests", "nginx"),
        ("2", "idle", "nginx"), ("2", "idle", UNCOMPILED), ("2", "requests", "nginx"), ("2", "requests", UNCOMPILED),
    ]  # fmt: skip
    assert {peer: len(figures["cpu_us"]) for peer, figures in found.rows["requests"].items()} == {
        UNCOMPILED: 2,
        "nginx": 2,
    }
    again: list[str] = []
    assert run(PLAN, tmp_path / "journal", again.append).rows == found.rows
    assert [line.partition(" ")[0] for line in again] == ["going"]


def test_a_failure_is_kept_and_the_rest_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One proxy that refuses does not spoil an hour of the others."""

    def fail(subject: Subject, load: Load, effort: Effort) -> Figures:
        if subject.name == "nginx":
            raise AnswerError("502")
        return MEASURES["requests"](subject, load, effort)

    monkeypatch.setattr(running, "MEASURES", {**MEASURES, "requests": fail})
    found = run(replace(PLAN, rounds=1), tmp_path / "journal", lambda _: None)
    assert found.about["failed"] == ["round 1, requests, nginx: AnswerError('502')"]
    assert set(found.rows["requests"]) == {UNCOMPILED}
    assert set(found.rows["idle"]) == {UNCOMPILED, "nginx"}


def test_everybody_is_who_the_rows_name() -> None:
    """In the table's order, ours always first."""
    assert everybody([BY_NAME["hosts-1"]]) == ["originward", "nginx", "haproxy", "envoy"]
