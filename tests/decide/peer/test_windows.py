"""Windows of anchors: who is admitted when, until when a verdict holds, and what a refusal says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import inf

import pytest

from proxy.decide.peer.chain import Bundle, peer_of
from proxy.decide.peer.gate import Gate, explain, judge
from proxy.decide.peer.policy.issuer import Issuer
from proxy.decide.peer.verdicts import Verdicts
from proxy.decide.peer.windows import Window, closed_anchor, first_gap, instant, last_change, next_change
from proxy.decide.verdict import Admitted, Reason, Refused, Verdict
from tests.support.certificates import DAY, NOW, Issued, make_ca, make_leaf

_OLD, _NEW = make_ca("Old CA"), make_ca("New CA")
_OF_OLD, _OF_NEW = make_leaf(_OLD), make_leaf(_NEW)
_T1, _T2 = NOW + DAY, NOW + 2 * DAY
_FROM, _UNTIL = Window(not_before=_T1), Window(not_after=_T2)


def rotating(old: Window = _UNTIL, new: Window = _FROM) -> Gate:
    """Return the gate of a bundle in the middle of a rotation."""
    windows = {_OLD.certificate.fingerprint: old, _NEW.certificate.fingerprint: new}
    return Gate(Bundle("cdn", (_OLD.certificate, _NEW.certificate), windows=windows))


def judged(leaf: Issued, now: float, gate: Gate | None = None, *more: Issued) -> Verdict:
    """Judge a leaf, shown with others, at the gate."""
    return judge(peer_of(one.certificate for one in (leaf, *more)), gate or rotating(), now)


@pytest.mark.parametrize(
    ("now", "old", "new", "until"),
    [
        (NOW, True, False, _T1),
        (_T1 - 0.001, True, False, _T1),
        (_T1, True, True, _T2),
        (_T2 - 0.001, True, True, _T2),
        (_T2, False, True, None),
        (_T2 + DAY, False, True, None),
    ],
)
def test_an_anchor_counts_within_its_window_only(now: float, old: bool, new: bool, until: float | None) -> None:
    """The beginning belongs to it, the end does not; admitted or refused, the verdict ends with the next change."""
    for leaf, admitted in ((_OF_OLD, old), (_OF_NEW, new)):
        verdict = judged(leaf, now)
        assert isinstance(verdict, Admitted if admitted else Refused)
        own_end = leaf.certificate.not_after if admitted else inf
        assert verdict.until == (until if until is not None else own_end)


def test_a_refusal_names_the_anchor_and_the_date() -> None:
    """An operator who reads the line knows what to do, or that there is nothing to do."""
    early, late = judged(_OF_NEW, NOW), judged(_OF_OLD, _T2)
    assert isinstance(early, Refused)
    assert isinstance(late, Refused)
    assert early.reason is late.reason is Reason.UNTRUSTED_ISSUER
    assert f"anchor CN=New CA is trusted from {instant(_T1)} on; " in early.detail
    assert f"anchor CN=Old CA was trusted until {instant(_T2)}; " in late.detail


def test_a_stranger_is_told_of_no_anchor() -> None:
    """A CA with an anchor's name and another key is another CA; so is one that is not known at all."""
    for stranger in (make_ca("New CA"), make_ca("Rogue")):
        refusal = judged(make_leaf(stranger), NOW)
        assert isinstance(refusal, Refused)
        assert "anchor CN=" not in refusal.detail
        assert refusal.until == _T1


def test_an_anchor_shown_by_the_client_is_named_too() -> None:
    """Some clients send the root along; OpenSSL stops there."""
    refusal = judged(_OF_NEW, NOW, None, _NEW)
    assert isinstance(refusal, Refused)
    assert "anchor CN=New CA is trusted from" in refusal.detail


def test_a_cross_certificate_leads_to_the_anchor_that_counts() -> None:
    """The new CA's key, certified by the old one: who sends that is admitted before the new anchor counts."""
    cross = make_ca("New CA", _OLD, key=_NEW.key)
    verdict = judged(_OF_NEW, NOW, None, cross)
    assert isinstance(verdict, Admitted)
    assert verdict.identity is not None
    assert verdict.identity.issuers[-1] is _OLD.certificate
    assert verdict.until == _T1


def test_a_refusal_by_a_rule_ends_with_the_next_change_too() -> None:
    """Another anchor may lead to another issuer, and so to another answer."""
    gate = replace(rotating(), rules=(Issuer.from_setting(["CN=Nobody"]),))
    refusal = judged(_OF_OLD, NOW, gate)
    assert isinstance(refusal, Refused)
    assert (refusal.reason, refusal.until) == (Reason.ISSUER_NOT_ALLOWED, _T1)


def test_memory_holds_a_verdict_up_to_the_change() -> None:
    """Nothing is published, nothing forgotten: the clock alone turns both answers round."""
    verdicts, gate = Verdicts(8), rotating(Window(not_after=_T1), Window(not_before=_T1))
    old, new = (peer_of([leaf.certificate]) for leaf in (_OF_OLD, _OF_NEW))
    before = verdicts.judge(old, gate, NOW), verdicts.judge(new, gate, NOW)
    assert [type(verdict) for verdict in before] == [Admitted, Refused]
    assert (verdicts.judge(old, gate, _T1 - 1), verdicts.judge(new, gate, _T1 - 1)) == before
    assert [type(verdicts.judge(peer, gate, _T1)) for peer in (old, new)] == [Refused, Admitted]


def test_a_bundle_without_windows_is_as_ever() -> None:
    """No verdict ends for them."""
    gate = Gate(Bundle("cdn", (_OLD.certificate,)))
    assert judged(_OF_OLD, NOW, gate).until == _OF_OLD.certificate.not_after
    assert judged(_OF_NEW, NOW, gate).until == inf


def test_explaining_counts_the_anchors_that_are_closed() -> None:
    """The step says why there are fewer than the configuration names."""
    steps = list(explain(peer_of([_OF_OLD.certificate]), rotating(), NOW))
    assert steps[0].asked == "a chain to bundle cdn (2 anchors, 1 of them outside its window)"


def test_changes_are_found_on_both_sides_of_now() -> None:
    """A change at ``now`` itself has happened."""
    windows = (_FROM, _UNTIL)
    assert [next_change(windows, at) for at in (NOW, _T1, _T2)] == [_T1, _T2, inf]
    assert [last_change(windows, at) for at in (NOW, _T1, _T2)] == [-inf, _T1, _T2]


@pytest.mark.parametrize(
    ("windows", "gap"),
    [
        ((Window(),), None),
        ((_UNTIL, _FROM), None),
        ((Window(not_after=_T1), Window(not_before=_T1)), None),
        ((Window(not_after=_T1), Window(not_before=_T2)), Window(_T1, _T2)),
        ((_FROM,), Window(NOW, _T1)),
        ((_UNTIL,), Window(_T2)),
        ((Window(not_after=NOW - 1),), Window(NOW)),
        ((Window(not_before=NOW - 5, not_after=_T2), Window(not_after=_T1)), Window(_T2)),
    ],
)
def test_a_time_without_any_anchor_is_found(windows: tuple[Window, ...], gap: Window | None) -> None:
    """Windows that touch leave no gap."""
    assert first_gap(windows, NOW) == gap


def test_a_window_is_written_as_it_is_configured() -> None:
    """Times in UTC, ISO 8601."""
    begin = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    end = datetime(2028, 1, 1, 12, 30, tzinfo=UTC).timestamp()
    assert str(Window(begin, end)) == "from 2027-01-01T00:00:00Z until 2028-01-01T12:30:00Z"
    assert str(Window(not_after=end)) == "until 2028-01-01T12:30:00Z"
    assert str(Window()) == "always"


def test_an_open_anchor_is_no_cause() -> None:
    """Where the chain fails at one whose window is open, something else is wrong."""
    windows = {_OLD.certificate.fingerprint: _UNTIL}
    assert closed_anchor(_OF_OLD.certificate, (_OLD.certificate,), windows, NOW) is None
