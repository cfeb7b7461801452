"""The memo: each certificate is judged once per gate, until the clock changes the answer."""

from __future__ import annotations

import pytest

from proxy.decide.peer import verdicts as module
from proxy.decide.peer.chain import Bundle, Peer, peer_of
from proxy.decide.peer.gate import Gate, judge
from proxy.decide.peer.needs import CrlNeed
from proxy.decide.peer.policy.san_dns import SanDns
from proxy.decide.peer.verdicts import Verdicts
from proxy.decide.verdict import Admitted, Pending, Reason, Refused, Verdict
from tests.support.certificates import DAY, NOW, make_ca, make_leaf

_CDN, _OTHER = make_ca("CDN"), make_ca("Other")
_CDN_GATE = Gate(Bundle("cdn", (_CDN.certificate,)))
_OTHER_GATE = Gate(Bundle("other", (_OTHER.certificate,)))
_NAMED_GATE = Gate(Bundle("cdn", (_CDN.certificate,)), (SanDns.from_setting(["*.partner.example"]),))
_EDGE = peer_of([make_leaf(_CDN, dns=["edge.cdn.example"], not_after=NOW + DAY).certificate])
_EARLY = peer_of([make_leaf(_CDN, not_before=NOW + DAY, not_after=NOW + 2 * DAY).certificate])


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Peer, Gate]]:
    """Record what is judged anew."""
    calls: list[tuple[Peer, Gate]] = []

    def recording(peer: Peer, gate: Gate, now: float) -> Verdict:
        calls.append((peer, gate))
        return judge(peer, gate, now)

    monkeypatch.setattr(module, "judge", recording)
    return calls


def test_a_verdict_is_remembered(judged: list[tuple[Peer, Gate]]) -> None:
    """By certificate, not by connection; admissions and refusals alike."""
    memo = Verdicts(16)
    again = peer_of([_EDGE.leaf])
    assert memo.judge(_EDGE, _CDN_GATE, NOW) is memo.judge(again, _CDN_GATE, NOW + 1)
    assert memo.judge(_EDGE, _OTHER_GATE, NOW) is memo.judge(again, _OTHER_GATE, NOW + 1)
    assert judged == [(_EDGE, _CDN_GATE), (_EDGE, _OTHER_GATE)]


def test_other_intermediates_are_another_client(judged: list[tuple[Peer, Gate]]) -> None:
    """What was sent with the leaf is part of what was judged."""
    memo = Verdicts(16)
    longer = peer_of([_EDGE.leaf, _CDN.certificate])
    memo.judge(_EDGE, _CDN_GATE, NOW)
    memo.judge(longer, _CDN_GATE, NOW)
    assert len(judged) == len(memo) == 2


def test_an_admission_ends_with_the_certificate(judged: list[tuple[Peer, Gate]]) -> None:
    """At that very second it is judged again, and refused."""
    memo = Verdicts(16)
    assert isinstance(memo.judge(_EDGE, _CDN_GATE, NOW), Admitted)
    assert isinstance(memo.judge(_EDGE, _CDN_GATE, NOW + DAY - 1), Admitted)
    assert len(judged) == 1
    expired = memo.judge(_EDGE, _CDN_GATE, NOW + DAY + 1)
    assert isinstance(expired, Refused)
    assert expired.reason is Reason.EXPIRED
    assert len(judged) == 2


def test_a_refusal_ends_when_the_certificate_starts(judged: list[tuple[Peer, Gate]]) -> None:
    """Not-yet-valid is not for ever."""
    memo = Verdicts(16)
    early = memo.judge(_EARLY, _CDN_GATE, NOW)
    assert isinstance(early, Refused)
    assert early.reason is Reason.NOT_YET_VALID
    assert memo.judge(_EARLY, _CDN_GATE, NOW + 1) is early
    assert isinstance(memo.judge(_EARLY, _CDN_GATE, NOW + DAY + 1), Admitted)
    assert len(judged) == 2


def test_the_memo_is_bounded_and_forgets_the_oldest(judged: list[tuple[Peer, Gate]]) -> None:
    """A stranger with many certificates costs time, not memory."""
    memo = Verdicts(3)
    peers = [peer_of([make_leaf(_CDN, f"c{number}").certificate]) for number in range(4)]
    for peer in peers:
        memo.judge(peer, _CDN_GATE, NOW)
    assert len(memo) == 3
    memo.judge(peers[3], _CDN_GATE, NOW)
    assert len(judged) == 4
    memo.judge(peers[0], _CDN_GATE, NOW)
    assert len(judged) == 5
    assert len(memo) == 3


@pytest.mark.parametrize(
    ("gates", "reason"),
    [
        ([_CDN_GATE, _OTHER_GATE], None),
        ([_OTHER_GATE, _NAMED_GATE, _CDN_GATE], None),
        ([_OTHER_GATE], Reason.UNTRUSTED_ISSUER),
        ([_OTHER_GATE, _NAMED_GATE], Reason.NAME_NOT_ALLOWED),
        ([_NAMED_GATE, _OTHER_GATE], Reason.NAME_NOT_ALLOWED),
    ],
)
def test_any_gate_admits_and_the_most_telling_refusal_is_given(gates: list[Gate], reason: Reason | None) -> None:
    """That another bundle does not know the chain is no news where one does."""
    verdict = Verdicts(16).judge_any(_EDGE, gates, NOW)
    assert (verdict.reason if isinstance(verdict, Refused) else None) is reason


def test_a_certificate_whose_status_changed_is_judged_anew(judged: list[tuple[Peer, Gate]]) -> None:
    """Wherever it stands in what a client showed; nobody else is."""
    memo = Verdicts(16)
    longer = peer_of([_EARLY.leaf, _CDN.certificate, _EDGE.leaf])
    for peer in (_EDGE, longer, _EARLY):
        memo.judge(peer, _CDN_GATE, NOW)
    memo.forget(_EDGE.leaf.fingerprint)
    memo.forget(_EDGE.leaf.fingerprint)
    assert len(memo) == 1
    for peer in (_EDGE, longer, _EARLY):
        memo.judge(peer, _CDN_GATE, NOW)
    assert [peer for peer, _ in judged] == [_EDGE, longer, _EARLY, _EDGE, longer]


def test_what_was_driven_out_is_not_looked_for() -> None:
    """The index by certificate goes with the verdicts."""
    memo = Verdicts(1)
    memo.judge(_EDGE, _CDN_GATE, NOW)
    memo.judge(_EARLY, _CDN_GATE, NOW)
    memo.forget(_EDGE.leaf.fingerprint)
    assert len(memo) == 1
    memo.forget(_EARLY.leaf.fingerprint)
    assert len(memo) == 0


_NEED = CrlNeed("cdn", ("http://crl.example/",), "ab" * 32, 0)
_OTHER_NEED = CrlNeed("other", ("http://other.example/",), "ab" * 32, 0)
_MISSING = Refused(Reason.CRL_MISSING, "there is none")
_STRANGE = Refused(Reason.UNTRUSTED_ISSUER, "not ours")
_IN = Admitted(None)
_WAIT, _WAIT_TOO = Pending((_NEED,), _MISSING), Pending((_OTHER_NEED, _NEED), _IN)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (_WAIT, _IN, _IN),
        (_WAIT, _STRANGE, _WAIT),
        (_STRANGE, _WAIT, _WAIT),
        (_WAIT, _WAIT_TOO, Pending((_NEED, _OTHER_NEED), _IN)),
        (Pending((_NEED,), _STRANGE), _MISSING, Pending((_NEED,), _MISSING)),
    ],
)
def test_where_any_gate_waits_the_peer_waits_unless_another_admits(
    monkeypatch: pytest.MonkeyPatch, first: Verdict, second: Verdict, together: Verdict
) -> None:
    """For what all of them wait for; no verdict of that kind is remembered."""
    answers = {_CDN_GATE: first, _OTHER_GATE: second}
    monkeypatch.setattr(module, "judge", lambda _peer, gate, _now: answers[gate])
    memo = Verdicts(16)
    assert memo.judge_any(_EDGE, [_CDN_GATE, _OTHER_GATE], NOW) == together
    assert len(memo) == sum(not isinstance(verdict, Pending) for verdict in (first, second))


def test_a_verdict_that_waits_again_takes_the_place_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that ended is not remembered beside it."""
    memo = Verdicts(16)
    monkeypatch.setattr(module, "judge", lambda *_: Admitted(None, NOW + 10))
    assert isinstance(memo.judge(_EDGE, _CDN_GATE, NOW), Admitted)
    monkeypatch.setattr(module, "judge", lambda *_: _WAIT)
    assert memo.judge(_EDGE, _CDN_GATE, NOW + 10) is _WAIT
    assert len(memo) == 0


def test_a_gate_that_is_still_there_is_asked_nothing_twice(judged: list[tuple[Peer, Gate]]) -> None:
    """A snapshot after the next, too, for who was asked about in between; nothing but that is kept."""
    first = Verdicts(16)
    verdicts = first.judge(_EDGE, _CDN_GATE, NOW), first.judge(_EDGE, _OTHER_GATE, NOW)
    second = Verdicts(16, first)
    assert len(second) == 0
    assert second.judge(_EDGE, _CDN_GATE, NOW + 1) is verdicts[0]
    third = Verdicts(16, second)
    assert third.judge(_EDGE, _CDN_GATE, NOW + 2) is verdicts[0]
    assert len(judged) == 2
    third.judge(_EDGE, _OTHER_GATE, NOW + 2)
    assert len(judged) == 3


def test_a_changed_gate_is_asked_anew(judged: list[tuple[Peer, Gate]]) -> None:
    """A new CRL, anchor or rule makes another gate, however much it looks like the one before."""
    first = Verdicts(16)
    first.judge(_EDGE, _CDN_GATE, NOW)
    twin = Gate(_CDN_GATE.bundle, _CDN_GATE.rules)
    Verdicts(16, first).judge(_EDGE, twin, NOW)
    assert judged == [(_EDGE, _CDN_GATE), (_EDGE, twin)]


def test_what_is_taken_over_ends_in_its_time_and_is_forgotten_with_its_certificate(
    judged: list[tuple[Peer, Gate]],
) -> None:
    """As if it had been there from the beginning."""
    first = Verdicts(16)
    first.judge(_EDGE, _CDN_GATE, NOW)
    assert isinstance(Verdicts(16, first).judge(_EDGE, _CDN_GATE, NOW + DAY + 1), Refused)
    assert len(judged) == 2
    first = Verdicts(16)
    first.judge(_EDGE, _CDN_GATE, NOW)
    second = Verdicts(16, first)
    second.forget(_EDGE.leaf.fingerprint)
    second.judge(_EDGE, _CDN_GATE, NOW)
    assert len(judged) == 4
