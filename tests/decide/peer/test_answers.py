"""Answers: what came back, bounded; neither replays nor failures replace what is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.decide.peer.answers import REPLAY_RETRY, Answer, Answers, Failure, Fault, Known, Status

GOOD: Final = Answer(Status.GOOD, 1000.0, 2000.0, 1000.0, 1001.0, "http://ocsp.example/", "CN=Responder")
REVOKED: Final = replace(GOOD, status=Status.REVOKED, revoked_at=900.0, reason="keyCompromise")
FAILED: Final = Failure(Fault.TIMED_OUT, "no answer within 2 s", "http://ocsp.example/", 1500.0, 1530.0)


def later(answer: Answer, seconds: float) -> Answer:
    """Return what the responder says some seconds later."""
    return replace(answer, this_update=answer.this_update + seconds, produced_at=answer.produced_at + seconds)


def test_nothing_is_known_at_first() -> None:
    """Neither an answer nor a failure."""
    assert Answers().find(b"a") == Known()


def test_a_newer_answer_replaces_an_older_one_and_never_the_other_way_round() -> None:
    """A replayed answer is a failure, whatever it says, so that it is not asked for again at once."""
    answers = Answers()
    answers.put(b"a", later(REVOKED, 10))
    answers.put(b"a", GOOD)
    known = answers.find(b"a")
    assert known.answer == later(REVOKED, 10)
    assert known.failure is not None
    assert (known.failure.fault, known.failure.retry_at) == (Fault.REPLAYED, GOOD.fetched_at + REPLAY_RETRY)
    answers.put(b"a", later(GOOD, 20))
    assert answers.find(b"a").answer == later(GOOD, 20)


@pytest.mark.parametrize("order", [(GOOD, REVOKED), (REVOKED, GOOD), (REVOKED, replace(GOOD, produced_at=1500.0))])
def test_of_two_answers_of_one_time_the_revocation_is_believed(order: tuple[Answer, Answer]) -> None:
    """In any order."""
    answers = Answers()
    for answer in order:
        answers.put(b"a", answer)
    known = answers.find(b"a").answer
    assert known is not None
    assert known.status is Status.REVOKED


def test_a_failure_leaves_the_answer_as_it_is() -> None:
    """A responder that is down takes nothing back; a new answer ends the failure."""
    answers = Answers()
    answers.put(b"a", GOOD)
    assert not answers.put(b"a", FAILED)
    assert answers.find(b"a") == Known(GOOD, FAILED)
    answers.put(b"a", later(GOOD, 10))
    assert answers.find(b"a") == Known(later(GOOD, 10))


def test_the_same_answer_again_is_a_fresh_one() -> None:
    """Responders sign in advance: what counts is that they were asked."""
    answers = Answers()
    answers.put(b"a", GOOD)
    again = replace(GOOD, fetched_at=GOOD.fetched_at + 60)
    assert not answers.put(b"a", again)
    assert answers.find(b"a") == Known(again)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Status), st.integers(0, 5))))
def test_what_is_known_is_the_newest_and_of_one_time_the_worst(told: list[tuple[Status, int]]) -> None:
    """In whatever order the answers come."""
    answers = Answers()
    for status, time in told:
        answers.put(b"a", replace(GOOD, status=status, this_update=time, produced_at=time))
    known = answers.find(b"a").answer
    assert (known is None) is (not told)
    if known is not None:
        newest = max(time for _, time in told)
        last = [status for status, time in told if time == newest]
        assert known.this_update == newest
        assert known.status is (Status.REVOKED if Status.REVOKED in last else last[-1])


def test_a_crl_that_arrived_ends_the_failure() -> None:
    """It is found among the CRLs, not here."""
    answers = Answers()
    answers.put(b"a", FAILED)
    answers.put(b"a", None)
    assert answers.find(b"a") == Known()


@pytest.mark.parametrize(
    ("before", "outcome", "changed"),
    [
        (None, GOOD, False), (None, REVOKED, True), (None, FAILED, False), (GOOD, later(GOOD, 5), False),
        (GOOD, later(REVOKED, 5), True), (GOOD, FAILED, False), (FAILED, GOOD, True), (FAILED, REVOKED, True),
        (REVOKED, later(GOOD, 5), True), (REVOKED, GOOD, False), (FAILED, FAILED, False),
    ],
)  # fmt: skip
def test_whoever_keeps_verdicts_is_told_of_a_change(
    before: Answer | Failure | None, outcome: Answer | Failure, *, changed: bool
) -> None:
    """A refreshed answer of the same status is none, nor is a first one that admits: nothing rested on it."""
    answers = Answers()
    if before is not None:
        answers.put(b"a", before)
    assert answers.put(b"a", outcome) is changed


def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    """And a flood of other answers drives out no revocation."""
    answers = Answers(2)
    answers.put(b"revoked", REVOKED)
    for key in (b"a", b"b"):
        answers.put(key, GOOD)
    answers.find(b"a")
    answers.put(b"c", GOOD)
    kept = {key for key in (b"revoked", b"a", b"b", b"c") if answers.find(key).answer is not None}
    assert kept == {b"revoked", b"a", b"c"}
    assert len(answers) == len(list(answers)) == 3
