"""Revocation: CRLs and responders together, certificate by certificate, through the gate that judges live clients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from proxy.decide.peer.answers import Answer, Answers, Failure, Fault
from proxy.decide.peer.chain import Bundle, peer_of
from proxy.decide.peer.crl.evidence import Evidence
from proxy.decide.peer.crl.settings import Revocation
from proxy.decide.peer.crl.store import CrlStore
from proxy.decide.peer.depth import Check
from proxy.decide.peer.gate import Gate, explain, judge
from proxy.decide.peer.hosts import Hosts, parse_host
from proxy.decide.peer.ocsp.evidence import OcspEvidence
from proxy.decide.peer.ocsp.response import read_answer
from proxy.decide.peer.ocsp.settings import Mode, Ocsp
from proxy.decide.peer.ocsp.status import Subject, need_of
from proxy.decide.verdict import Admitted, Pending, Reason, Refused, Verdict
from tests.support.certificates import DAY, NOW, Issued, make_ca, make_leaf
from tests.support.crls import crl_of
from tests.support.ocsp import GOOD, HOUR, REVOKED, URL, Single, make_delegate, respond, responder_named

ROOT = make_ca("Root")
MIDDLE = make_ca("Middle", ROOT, extensions=[responder_named()])
LEAF = make_leaf(MIDDLE, extensions=[responder_named()])
PEER = peer_of([LEAF.certificate, MIDDLE.certificate])
OCSP: Final = Ocsp(hosts=Hosts((parse_host("ocsp.pki.example"),)))
MIDDLE_NEED = need_of(Subject(MIDDLE.certificate, ROOT.certificate, 1, "cdn"), OCSP, (URL,))
LEAF_NEED = need_of(Subject(LEAF.certificate, MIDDLE.certificate, 0, "cdn"), OCSP, (URL,))
FAILED: Final = Failure(Fault.UNREACHABLE, "connection refused", URL, NOW, NOW + 30)


def of_leaf(status: str, signer: Issued | None = None) -> Answer:
    """Return an answer about the leaf."""
    found = read_answer(respond(Single(MIDDLE, LEAF, status), signer=signer), LEAF_NEED, None, URL, NOW)
    assert isinstance(found, Answer), found
    return found


def of_middle(status: str) -> Answer:
    """Return an answer about the intermediate."""
    found = read_answer(respond(Single(ROOT, MIDDLE, status)), MIDDLE_NEED, None, URL, NOW)
    assert isinstance(found, Answer), found
    return found


def gate(
    known: dict[Any, Answer | Failure], crls: Any = None, *, mode: Mode = Mode.HARD, check: Check = Check.CHAIN,
    own: Check | None = None,
) -> Gate:  # fmt: skip
    """Make a gate with what is known, and with CRLs if they are given; ``own`` is what OCSP looks up."""
    answers = Answers()
    for need, outcome in known.items():
        answers.put(need.key, outcome)
    asked = replace(OCSP, mode=mode, check=own)
    store = CrlStore(crls or ())
    revocation = Revocation(check, store, answers=answers, asks_crls=crls is not None, ocsp=asked)
    return Gate(Bundle("cdn", (ROOT.certificate,), revocation=revocation))


def verdict(known: dict[Any, Answer | Failure], crls: Any = None, mode: Mode = Mode.HARD) -> Verdict:
    """Judge the client."""
    return judge(PEER, gate(known, crls, mode=mode), NOW)


BOTH_GOOD: Final[dict[Any, Answer | Failure]] = {LEAF_NEED: of_leaf(GOOD), MIDDLE_NEED: of_middle(GOOD)}


def test_every_certificate_below_the_anchor_is_asked_about() -> None:
    """With its own issuer; all at once, so that the client waits once."""
    found = verdict({})
    assert isinstance(found, Pending)
    assert found.needs == (LEAF_NEED, MIDDLE_NEED)
    one = verdict({LEAF_NEED: of_leaf(GOOD)})
    assert isinstance(one, Pending)
    assert one.needs == (MIDDLE_NEED,)
    both = verdict(BOTH_GOOD)
    assert isinstance(both, Admitted)
    assert [evidence.depth for evidence in both.revocation] == [0, 1]
    assert NOW < both.until <= NOW + HOUR


@pytest.mark.parametrize(
    ("check", "own", "needs"),
    [
        (Check.LEAF, None, (LEAF_NEED,)), (Check.CHAIN, Check.LEAF, (LEAF_NEED,)),
        (Check.LEAF, Check.CHAIN, (LEAF_NEED, MIDDLE_NEED)), (Check.NONE, Check.CHAIN, ()),
        (Check.CHAIN, Check.NONE, ()),
    ],
)  # fmt: skip
def test_responders_may_be_asked_about_fewer_or_more_than_crls(check: Check, own: Any, needs: tuple[Any, ...]) -> None:
    """But nobody is, where the bundle checks nothing."""
    found = judge(PEER, gate({}, check=check, own=own), NOW)
    assert (found.needs if isinstance(found, Pending) else ()) == needs


def test_a_revoked_intermediate_revokes_its_clients() -> None:
    """At its depth, whatever is known of the leaf, and without waiting for that."""
    for known in ({MIDDLE_NEED: of_middle(REVOKED)}, {**BOTH_GOOD, MIDDLE_NEED: of_middle(REVOKED)}):
        found = verdict(known)
        assert isinstance(found, Refused)
        assert (found.reason, found.depth) == (Reason.REVOKED, 1)


CRLS: Final = (crl_of(MIDDLE), crl_of(ROOT))
LISTED: Final = (crl_of(MIDDLE, {LEAF.certificate.serial: 1}), crl_of(ROOT))
OLD: Final = (crl_of(MIDDLE, this_update=NOW - 9 * DAY, next_update=NOW - DAY), crl_of(ROOT))


@pytest.mark.parametrize(
    ("crls", "known", "reason"),
    [
        (CRLS, BOTH_GOOD, None),
        (LISTED, BOTH_GOOD, Reason.REVOKED),
        (LISTED, {}, Reason.REVOKED),
        (CRLS, {**BOTH_GOOD, LEAF_NEED: of_leaf(REVOKED)}, Reason.REVOKED),
        (OLD, BOTH_GOOD, Reason.CRL_STALE),
        (OLD, {**BOTH_GOOD, LEAF_NEED: of_leaf(REVOKED)}, Reason.REVOKED),
        ((), BOTH_GOOD, Reason.CRL_MISSING),
        (CRLS, {**BOTH_GOOD, LEAF_NEED: FAILED}, Reason.OCSP_UNAVAILABLE),
        (LISTED, {**BOTH_GOOD, LEAF_NEED: FAILED}, Reason.REVOKED),
    ],
)
def test_crls_and_responders_must_all_be_content(crls: Any, known: Any, reason: Reason | None) -> None:
    """Revoked by either refuses, and is what is said."""
    found = verdict(known, crls)
    assert getattr(found, "reason", None) is reason
    assert isinstance(found, Admitted if reason is None else Refused)


def test_an_admission_has_the_evidence_of_both() -> None:
    """And ends with the first that ends."""
    found, by_ocsp = verdict(BOTH_GOOD, CRLS), verdict(BOTH_GOOD)
    assert isinstance(found, Admitted)
    assert isinstance(by_ocsp, Admitted)
    assert [type(evidence) for evidence in found.revocation] == [Evidence, Evidence, OcspEvidence, OcspEvidence]
    assert found.until == by_ocsp.until


def test_a_soft_responder_does_not_soften_crls() -> None:
    """Each has its own settings."""
    known = {LEAF_NEED: FAILED, MIDDLE_NEED: FAILED}
    assert isinstance(verdict(known, CRLS, Mode.SOFT), Admitted)
    for crls, reason in ((LISTED, Reason.REVOKED), ((), Reason.CRL_MISSING)):
        found = verdict(known, crls, Mode.SOFT)
        assert isinstance(found, Refused)
        assert found.reason is reason


DELEGATE = make_delegate(MIDDLE, nocheck=False)
BY_DELEGATE: Final[dict[Any, Answer | Failure]] = {**BOTH_GOOD, LEAF_NEED: of_leaf(GOOD, DELEGATE)}


@pytest.mark.parametrize(
    ("crls", "admitted"),
    [
        (None, True),
        (CRLS, True),
        ((crl_of(MIDDLE, {DELEGATE.certificate.serial: 1}), crl_of(ROOT)), False),
    ],
)
def test_a_responder_without_nocheck_is_looked_up_in_the_crls(crls: Any, *, admitted: bool) -> None:
    """Where there are CRLs at all: a responder that was revoked speaks for nobody."""
    found = verdict(BY_DELEGATE, crls)
    assert isinstance(found, Admitted) is admitted
    if not admitted:
        assert isinstance(found, Refused)
        assert found.reason is Reason.OCSP_UNAVAILABLE
        assert "the responder's own certificate" in found.detail
        assert f"{DELEGATE.certificate.serial:X}" in found.detail


def test_a_responder_with_nocheck_is_not_looked_up() -> None:
    """Its CA says so."""
    delegate = make_delegate(MIDDLE)
    crls = (crl_of(MIDDLE, {delegate.certificate.serial: 1}), crl_of(ROOT))
    assert isinstance(verdict({**BOTH_GOOD, LEAF_NEED: of_leaf(GOOD, delegate)}, crls), Admitted)


def test_explain_says_who_would_be_asked_and_what_was_said() -> None:
    """The same step that judges."""
    *_, waiting = explain(PEER, gate({}), NOW)
    assert waiting.refusal is None
    assert f"it takes an OCSP answer of {URL}" in waiting.asked
    *_, known = explain(PEER, gate(BOTH_GOOD), NOW)
    assert f"depth 0: OCSP answer good from {URL} (signed by CN=Middle; from 2027-01-15 07:00 UTC" in known.asked
    *_, refused = explain(PEER, gate({**BOTH_GOOD, LEAF_NEED: FAILED}), NOW)
    assert refused.refusal is not None
    assert "unreachable: connection refused" in refused.refusal.detail
