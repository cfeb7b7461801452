"""Reports: one line a reload, and the metrics that an alert asks for."""

from __future__ import annotations

import pytest

from proxy.control.changes import Changes
from proxy.control.plane import Outcome, Result
from proxy.control.report import Report, fields_of
from proxy.observe.log import Log
from proxy.observe.metrics import RELOAD_RESULTS, Metrics
from tests.support.logged import logged

DONE = Outcome(Result.DONE, ("signal", "watch"), 3, 0.0123, Changes(added=("route a/",)), warnings=("odd",))
FAILED = Outcome(Result.FAILED, ("watch",), 2, 0.1, problems=("o.yaml:3: trust: \x1b[2J",))
REFUSED = Outcome(Result.REFUSED, ("command",), 2, 0.1, problems=("listen: takes a restart",))
UNCHANGED = Outcome(Result.UNCHANGED, ("watch",), 2, 0.1)


def reported(*outcomes: Outcome) -> tuple[list[dict[str, object]], Metrics]:
    """Report outcomes; return the lines of the log and the metrics."""
    metrics = Metrics()

    def report(log: Log) -> None:
        for outcome in outcomes:
            Report(log, metrics)(outcome)

    return logged(report), metrics


def test_a_good_reload_says_what_changed() -> None:
    """By name, after its warnings."""
    (warning, line), _ = reported(DONE)
    assert (warning["event"], warning["detail"]) == ("warning", "odd")
    assert line.pop("time")
    assert line == {
        "level": "info", "event": "reload.done", "result": "done", "trigger": "signal, watch", "generation": 3,
        "ms": 12.3, "added": ["route a/"], "warnings": 1,
    }  # fmt: skip


@pytest.mark.parametrize("outcome", [FAILED, REFUSED])
def test_a_bad_one_says_why(outcome: Outcome) -> None:
    """Under one event, with what is in force, and harmless on a terminal."""
    (line,), _ = reported(outcome)
    assert (line["event"], line["level"], line["result"]) == ("reload.failed", "error", outcome.result)
    assert line["generation"] == 2
    assert all(sentence.isprintable() for sentence in line["problems"])  # type: ignore[attr-defined]


def test_a_touched_file_is_not_worth_a_line() -> None:
    """Somebody who asked gets an answer all the same."""
    assert reported(UNCHANGED)[0] == []
    asked = Outcome(Result.UNCHANGED, ("watch", "signal"), 2, 0.1)
    (line,), _ = reported(asked)
    assert (line["event"], line["level"]) == ("reload.unchanged", "info")
    assert fields_of(asked)["generation"] == 2


def test_every_result_has_its_counter() -> None:
    """The metrics know the words that the plane uses."""
    assert set(RELOAD_RESULTS) == set(Result)
    _, metrics = reported(DONE, FAILED, REFUSED, REFUSED, UNCHANGED)
    assert metrics.reloads == {"done": 1, "unchanged": 1, "failed": 1, "refused": 2}


@pytest.mark.parametrize(
    ("outcomes", "good", "moved"),
    [
        ((DONE,), True, True),
        ((DONE, FAILED), False, True),
        ((REFUSED,), False, False),
        ((FAILED, UNCHANGED), True, True),  # the file is again as it was: what is on disk is in force
    ],
)
def test_the_last_one_counts(outcomes: tuple[Outcome, ...], good: bool, moved: bool) -> None:
    """Whether it was good is a gauge of its own, and so is when the last good one was."""
    _, metrics = reported(*outcomes)
    assert metrics.last_reload_successful is good
    assert bool(metrics.last_reload_success) is moved
