"""Status: how a certificate stands by what its responder said; every way to say nothing, in every mode."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.decide.peer.answers import REPLAY_RETRY, Answer, Answers, Failure, Fault, Status
from proxy.decide.peer.chain import Bundle, peer_of
from proxy.decide.peer.crl.settings import Revocation
from proxy.decide.peer.crl.store import CrlStore
from proxy.decide.peer.depth import Check
from proxy.decide.peer.gate import Gate, judge
from proxy.decide.peer.hosts import Hosts, parse_host
from proxy.decide.peer.needs import OcspNeed
from proxy.decide.peer.ocsp.evidence import OcspEvidence
from proxy.decide.peer.ocsp.response import ends_at, read_answer
from proxy.decide.peer.ocsp.settings import REFRESH, UNKNOWN_REFRESH, Mode, Ocsp
from proxy.decide.peer.ocsp.status import AGAIN, Subject, need_of, refresh_at, responders_of, standing_of
from proxy.decide.peer.standing import Good, Standing, Waiting
from proxy.decide.verdict import Admitted, Pending, Reason, Refused, Verdict
from tests.support.certificates import DAY, NOW, make_ca, make_leaf
from tests.support.ocsp import GOOD, HOUR, REVOKED, UNKNOWN, URL, Single, other, respond, responder_named

CA = make_ca("Issuing CA")
LEAF = make_leaf(CA, extensions=[responder_named()])
SUBJECT: Final = Subject(LEAF.certificate, CA.certificate, 0, "cdn")
HOSTS: Final = Hosts((parse_host("ocsp.pki.example"),))
HARD: Final = Ocsp(Mode.HARD, hosts=HOSTS)
SOFT: Final = Ocsp(Mode.SOFT, hosts=HOSTS)
NEED: Final = need_of(SUBJECT, HARD, (URL,))
OURS: Final = Single(CA, LEAF)
RETRY: Final = NOW + 30


def answer(status: str, **changes: Any) -> Answer:
    """Return what was read of a response at NOW."""
    found = read_answer(respond(other(OURS, status=status, **changes)), NEED, None, URL, NOW)
    assert isinstance(found, Answer), found
    return found


def failure(fault: Fault = Fault.TIMED_OUT, retry_at: float = RETRY) -> Failure:
    """Return an attempt that brought no answer."""
    return Failure(fault, "words for the operator", URL, NOW - 1, retry_at)


def trusted(_delegate: bytes) -> Standing:
    """Vouch for any responder."""
    return Good()


def standing(ocsp: Ocsp, *outcomes: Answer | Failure, now: float = NOW) -> Standing:
    """Say how the leaf stands after these outcomes."""
    answers = Answers()
    for outcome in outcomes:
        answers.put(NEED.key, outcome)
    return standing_of(SUBJECT, ocsp, answers, trusted, now)


def verdict(ocsp: Ocsp | None, *outcomes: Answer | Failure, leaf: Any = LEAF) -> Verdict:
    """Judge a client with the leaf, by the function that judges live connections."""
    answers = Answers()
    for outcome in outcomes:
        answers.put(NEED.key, outcome)
    revocation = Revocation(Check.LEAF, CrlStore(), answers=answers, asks_crls=False, ocsp=ocsp)
    return judge(peer_of([leaf.certificate]), Gate(Bundle("cdn", (CA.certificate,), revocation=revocation)), NOW)


WITHOUT_RESPONDER: Final = make_leaf(CA)
ELSEWHERE: Final = make_leaf(CA, extensions=[responder_named("http://169.254.169.254/latest")])
_WHERE: Final[dict[Fault, Any]] = {Fault.NO_RESPONDER: WITHOUT_RESPONDER, Fault.HOST_NOT_ALLOWED: ELSEWHERE}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(
    ("ocsp", "reason"), [(None, None), (Ocsp(Mode.OFF), None), (SOFT, None), (HARD, Reason.OCSP_UNAVAILABLE)]
)
def test_every_fault_in_every_mode(fault: Fault, ocsp: Ocsp | None, reason: Reason | None) -> None:
    """Off asks nobody, soft admits, hard refuses; with the evidence, and never with an answer that there is not."""
    found = verdict(ocsp, failure(fault), leaf=_WHERE.get(fault, LEAF))
    assert isinstance(found, Admitted if reason is None else Refused)
    assert getattr(found, "reason", None) is reason
    if ocsp in (None, Ocsp(Mode.OFF)):
        assert found.revocation == ()
        return
    (evidence,) = found.revocation
    assert isinstance(evidence, OcspEvidence)
    assert (evidence.fault, evidence.status) == (fault, "unavailable")
    if isinstance(found, Refused):
        assert f"{fault}: " in found.detail


@pytest.mark.parametrize("ocsp", [SOFT, HARD])
@pytest.mark.parametrize(
    ("status", "reason"), [(GOOD, None), (REVOKED, Reason.REVOKED), (UNKNOWN, Reason.OCSP_UNKNOWN)]
)
@pytest.mark.parametrize("failed", [False, True])
def test_an_answer_counts_in_every_mode(ocsp: Ocsp, status: str, reason: Reason | None, *, failed: bool) -> None:
    """Soft is for where there is none: it overrules no answer. Nor does an attempt to renew it that failed."""
    outcomes = (answer(status), failure()) if failed else (answer(status),)
    found = verdict(ocsp, *outcomes)
    assert getattr(found, "reason", None) is reason
    assert isinstance(found, Admitted) is (reason is None)
    assert not isinstance(found, Pending)
    (evidence,) = found.revocation
    assert isinstance(evidence, OcspEvidence)
    assert evidence.status == status
    assert (evidence.fault is not None) is failed


@pytest.mark.parametrize(("ocsp", "otherwise"), [(SOFT, Good), (HARD, Refused)])
def test_a_client_waits_for_the_first_answer(ocsp: Ocsp, otherwise: type) -> None:
    """And without one in time gets what the mode says."""
    found = standing(ocsp)
    assert isinstance(found, Waiting)
    assert found.needs == (NEED,)
    assert isinstance(found.otherwise, otherwise)
    assert found.otherwise.until == NOW + AGAIN


def test_a_pending_verdict_names_who_is_asked() -> None:
    """Where nobody waits, it is a refusal; so it is where soft would admit."""
    for ocsp in (SOFT, HARD):
        found = verdict(ocsp)
        assert isinstance(found, Pending)
        refusal = found.refuse()
        assert (refusal.reason, refusal.until) == (Reason.OCSP_UNAVAILABLE, 0.0)
        assert URL in refusal.detail


def test_hard_refuses_until_the_next_attempt_and_waits_for_that() -> None:
    """No client waits for a responder that is known to be down."""
    found = standing(HARD, failure())
    assert isinstance(found, Refused)
    assert found.until == RETRY
    again = standing(HARD, failure(), now=RETRY)
    assert isinstance(again, Waiting)
    assert isinstance(again.otherwise, Refused)


def test_soft_waits_once_and_never_again_for_a_dead_responder() -> None:
    """The next attempts are made without anybody waiting."""
    found = standing(SOFT, failure())
    assert isinstance(found, Good)
    assert (found.until, found.refresh) == (RETRY, ())
    again = standing(SOFT, failure(), now=RETRY)
    assert isinstance(again, Good)
    assert (again.until, again.refresh) == (RETRY + AGAIN, (NEED,))


@pytest.mark.parametrize("status", [GOOD, UNKNOWN])
def test_an_answer_that_is_over_is_none(status: str) -> None:
    """To its last second it counts; then it is asked for, and waited for."""
    known = answer(status)
    end = ends_at(known, None)
    assert not isinstance(standing(HARD, known, now=end), Waiting)
    assert isinstance(standing(HARD, known, now=end + 1), Waiting)
    assert isinstance(standing(HARD, known, failure(retry_at=end + 9), now=end + 1), Refused)
    assert isinstance(standing(SOFT, known, failure(retry_at=end + 9), now=end + 1), Good)


def test_a_revocation_is_never_over() -> None:
    """In no mode, with or without a responder."""
    for ocsp in (SOFT, HARD):
        for outcomes in [(answer(REVOKED),), (answer(REVOKED), failure())]:
            found = standing(ocsp, *outcomes, now=NOW + 1000 * DAY)
            assert isinstance(found, Refused)
            assert found.reason is Reason.REVOKED


@pytest.mark.parametrize("status", [GOOD, UNKNOWN, REVOKED])
def test_an_answer_is_renewed_while_it_counts(status: str) -> None:
    """Nobody waits: up to the time nothing is asked, from then on with each new judgement, which comes soon."""
    known = answer(status)
    due = refresh_at(known, HARD, NEED.key)
    before = standing(HARD, known, now=due - 1)
    assert not isinstance(before, Waiting)
    assert (before.refresh, before.until) == ((), due)
    after = standing(HARD, known, now=due)
    assert not isinstance(after, Waiting)
    assert (after.refresh, after.until) == ((NEED,), due + AGAIN)
    failed = standing(HARD, known, failure(retry_at=due + 20), now=due + 1)
    assert not isinstance(failed, Waiting)
    assert (failed.refresh, failed.until) == ((), due + 20)


@settings(deadline=None)
@given(
    life=st.floats(0, 30 * DAY), refresh=st.floats(60, DAY), first=st.integers(0, 255),
    status=st.sampled_from(list(Status)),
)  # fmt: skip
def test_an_answer_is_renewed_before_it_ends_and_not_too_seldom(
    life: float, refresh: float, first: int, status: Status
) -> None:
    """Whatever its life is; ``unknown`` sooner than the rest."""
    known = replace(answer(GOOD), status=status, next_update=NOW + life)
    due = refresh_at(known, Ocsp(refresh=refresh), bytes([first]) * 32)
    assert NOW <= due <= NOW + refresh
    assert due <= ends_at(known, None)
    if status is Status.UNKNOWN:
        assert due <= NOW + UNKNOWN_REFRESH


def test_not_all_answers_are_renewed_at_once() -> None:
    """Ten thousand that came within a second are asked for again over some minutes."""
    known = answer(GOOD)
    times = {refresh_at(known, HARD, bytes([first])) for first in range(256)}
    assert len(times) == 256
    assert max(times) - min(times) == pytest.approx(REFRESH / 10)


def test_max_age_ends_an_answer_before_its_own_end() -> None:
    """The setting of the bundle that asks, not of the one that asked first."""
    known = answer(GOOD, this_update=NOW - 2 * HOUR)
    ocsp = replace(HARD, max_age=60.0)
    need = need_of(SUBJECT, ocsp, (URL,))
    answers = Answers()
    answers.put(need.key, known)
    assert isinstance(standing_of(SUBJECT, ocsp, answers, trusted, NOW), Waiting)


def test_an_older_answer_than_the_one_that_ended_is_not_waited_for_again_and_again() -> None:
    """It would count by itself; taking it would let a replay in, and asking at once would bring it again."""
    first = answer(GOOD, next_update=NOW + 60)
    older = replace(answer(GOOD, this_update=NOW - 2 * HOUR), fetched_at=NOW + HOUR)
    found = standing(HARD, first, older, now=NOW + HOUR)
    assert isinstance(found, Refused)
    assert found.until == NOW + HOUR + REPLAY_RETRY
    assert "replayed: an answer (good) that is older" in found.detail


def test_a_fixed_responder_is_asked_whatever_the_certificate_names() -> None:
    """Its host needs no list."""
    fixed = Ocsp(responder="http://ocsp.corp.example/")
    for leaf in (LEAF, WITHOUT_RESPONDER, ELSEWHERE):
        assert responders_of(leaf.certificate, fixed) == (("http://ocsp.corp.example/",), None)


def test_only_allowed_responders_of_several_are_asked() -> None:
    """In the certificate's order."""
    first, second = responder_named("http://evil.example/")[0], responder_named()[0]
    leaf = make_leaf(CA, extensions=[(type(first)([*first, *second]), False)])
    assert responders_of(leaf.certificate, HARD) == ((URL,), None)


DELEGATED: Final = replace(answer(GOOD), delegate=b"a certificate without nocheck")
CRL_NEED: Final = replace(NEED, urls=("http://crl.example/",))


@pytest.mark.parametrize(
    ("delegate", "hard", "soft"),
    [
        (Good(until=NOW + 5), Good, Good),
        (Refused(Reason.REVOKED, "listed", until=NOW + 5), Refused, Good),
        (Waiting((CRL_NEED,), Good(until=NOW + 5)), Waiting, Waiting),
        (Waiting((CRL_NEED,), Refused(Reason.CRL_MISSING, "none")), Waiting, Waiting),
    ],
)
def test_an_answer_is_believed_as_far_as_its_signer_stands(delegate: Standing, hard: type, soft: type) -> None:
    """A responder whose certificate is revoked has said nothing."""
    answers = Answers()
    answers.put(NEED.key, DELEGATED)
    for ocsp, expected in ((HARD, hard), (SOFT, soft)):
        found = standing_of(SUBJECT, ocsp, answers, lambda _der: delegate, NOW)
        assert isinstance(found, expected)
        if isinstance(found, Waiting):
            assert found.needs == (CRL_NEED,)
        else:
            assert found.until == NOW + 5
        if isinstance(found, Refused):
            assert found.reason is Reason.OCSP_UNAVAILABLE
            assert "the responder's own certificate: listed" in found.detail


def test_nobody_is_unrevoked_by_a_bad_signer() -> None:
    """What would refuse needs no vouching."""
    answers = Answers()
    answers.put(NEED.key, replace(answer(REVOKED), delegate=b"a certificate"))
    found = standing_of(SUBJECT, HARD, answers, lambda _der: Refused(Reason.REVOKED, "listed"), NOW)
    assert isinstance(found, Refused)
    assert (found.reason, found.revocation[0].depth) == (Reason.REVOKED, 0)


_OUTCOME = st.one_of(
    st.builds(
        lambda status, start, life, fetched: Answer(
            status, NOW + start, None if life is None else NOW + start + life, NOW + start, NOW + fetched, URL, "CN=R",
            revoked_at=NOW - DAY if status is Status.REVOKED else None,
        ),
        st.sampled_from(list(Status)), st.floats(-10 * DAY, 0), st.none() | st.floats(0, 20 * DAY), st.floats(-DAY, 0),
    ),
    st.builds(lambda fault, retry: failure(fault, NOW + retry), st.sampled_from(list(Fault)), st.floats(-HOUR, HOUR)),
)  # fmt: skip


@settings(deadline=None)
@given(outcomes=st.lists(_OUTCOME, max_size=4), mode=st.sampled_from([Mode.SOFT, Mode.HARD]))
def test_no_row_of_outcomes_admits_what_it_should_not(outcomes: list[Answer | Failure], mode: Mode) -> None:
    """Good needs a good answer that counts, or soft and none that counts; and every standing ends later than now."""
    answers = Answers()
    for outcome in outcomes:
        answers.put(NEED.key, outcome)
    found = standing_of(SUBJECT, Ocsp(mode, hosts=HOSTS), answers, trusted, NOW)
    known = answers.find(NEED.key).answer
    counts = known is not None and ends_at(known, None) >= NOW
    if isinstance(found, Good):
        assert (counts and known is not None and known.status is Status.GOOD) or (not counts and mode is Mode.SOFT)
    if known is not None and known.status is Status.REVOKED:
        assert isinstance(found, Refused)
        assert found.reason is Reason.REVOKED
    if not isinstance(found, Waiting):
        assert found.until >= NOW
        assert all(isinstance(need, OcspNeed) for need in found.refresh)
    else:
        assert not isinstance(found.otherwise, Waiting)
        assert found.otherwise.until in (NOW + AGAIN, inf) or found.otherwise.until >= NOW
