"""Waiting: an outcome wakes those whom it concerns, once, and nobody is kept who has gone."""

from __future__ import annotations

from proxy.waiting import Waiting


class Someone:
    """Somebody who waits."""

    def judge_again(self) -> None:
        """Do nothing: these tests only look at who would be asked."""


def test_whom_an_outcome_concerns_is_woken_once_in_the_order_of_coming() -> None:
    """Also who waited for two things that came at once; then there is nothing left of them."""
    waiting, one, two, other = Waiting(), Someone(), Someone(), Someone()
    waiting.add(two, [b"a", b"b"])
    waiting.add(one, [b"a"])
    waiting.add(other, [b"c"])
    assert waiting.take([b"a", b"b"]) == [two, one]
    assert waiting.take([b"a", b"b"]) == []
    assert len(waiting) == 1


def test_who_waits_anew_waits_for_nothing_else() -> None:
    """The last question counts."""
    waiting, one = Waiting(), Someone()
    waiting.add(one, [b"a"])
    waiting.add(one, [b"b"])
    assert waiting.take([b"a"]) == []
    assert waiting.take([b"b"]) == [one]


def test_who_has_gone_is_forgotten() -> None:
    """With all that was waited for; to forget a stranger is no harm."""
    waiting, one = Waiting(), Someone()
    waiting.add(one, [b"a", b"b"])
    waiting.discard(one)
    waiting.discard(Someone())
    assert waiting.take([b"a", b"b"]) == []
    assert len(waiting) == 0
