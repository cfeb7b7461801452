"""What is remembered for workers that are still to come."""

from __future__ import annotations

from typing import Final

from proxy.control.planes import Settled
from proxy.decide.peer.answers import Answer, Failure, Fault, Status
from proxy.supervise.remembered import Remembered

CERTIFICATE: Final = "ab" * 32
GOOD: Final = Settled(Answer(Status.GOOD, 1.0, 2.0, 1.0, 1.0, "http://ocsp.test", "CN=Responder"), CERTIFICATE)
FAILED: Final = Settled(Failure(Fault.UNREACHABLE, "nobody there", "http://ocsp.test", 1.0, 2.0), CERTIFICATE)
ARRIVED: Final = Settled(None, CERTIFICATE)
"""A CRL: it is in the generation that a new worker begins with."""


def test_an_answer_outlives_the_next_failure() -> None:
    """And takes the place of one; of a CRL that arrived nothing is to be said."""
    known = Remembered()
    known.add({b"a": FAILED, b"b": GOOD, b"c": FAILED, b"d": ARRIVED})
    assert dict(known.all) == {b"a": FAILED, b"b": GOOD, b"c": FAILED}
    known.add({b"a": GOOD, b"b": FAILED, b"c": ARRIVED})
    assert dict(known.all) == {b"a": GOOD, b"b": GOOD}


def test_what_was_not_settled_for_the_longest_goes_first() -> None:
    """Their number is what a new worker is told at most."""
    known = Remembered(most=2)
    for key in (b"a", b"b", b"a", b"c"):
        known.add({key: GOOD})
    assert list(known.all) == [b"a", b"c"]
