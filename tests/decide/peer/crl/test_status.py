"""Status: which CRL counts, how long, and what follows; each row is a small PKI and the judge's answer."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from cryptography import x509

from proxy.decide.peer.chain import Bundle, peer_of
from proxy.decide.peer.crl.facts import Crl
from proxy.decide.peer.crl.settings import Revocation
from proxy.decide.peer.crl.store import CrlStore
from proxy.decide.peer.depth import Check
from proxy.decide.peer.gate import Gate, explain, judge
from proxy.decide.verdict import Admitted, Reason, Refused
from tests.support.certificates import DAY, NOW, Issued, make_ca, make_leaf
from tests.support.crls import REVOKED_AT, at, crl_of, point, points, uri

ROOT = make_ca("Root")
MIDDLE = make_ca("Middle", ROOT)
LEAF = make_leaf(MIDDLE, serial=77)
PARTED = make_leaf(MIDDLE, serial=77, extensions=[points(at("http://x/1.crl"))])
HERE, THERE = (point(full_name=uri(f"http://x/{number}.crl")) for number in (1, 2))
USERS, CAS = point(only_contains_user_certs=True), point(only_contains_ca_certs=True)
KEY = frozenset({x509.ReasonFlags.key_compromise})
REST = frozenset(x509.ReasonFlags) - KEY - {x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl}
OLD: dict[str, Any] = {"this_update": NOW - 3 * DAY, "next_update": NOW - DAY}
ROOT_CRL = crl_of(ROOT)
REKEYED = make_ca("Middle", ROOT)
REKEYED_CRL = crl_of(REKEYED)
MIDDLE_CRL = crl_of(MIDDLE)


def ask(*crls: Crl, leaf: Issued = LEAF, now: float = NOW, **settings: Any) -> Admitted | Refused:
    """Judge a client of the intermediate by these CRLs, the whole chain unless told otherwise."""
    revocation = Revocation(settings.pop("check", Check.CHAIN), CrlStore(crls), **settings)
    bundle = Bundle("test", (ROOT.certificate,), revocation=revocation)
    return judge(peer_of((leaf.certificate, MIDDLE.certificate)), Gate(bundle), now)


def answer(*crls: Crl, **settings: Any) -> str:
    """Return the reason of the refusal, or ``good``."""
    verdict = ask(*crls, **settings)
    return verdict.reason.value if isinstance(verdict, Refused) else "good"


ROWS: list[tuple[str, list[Crl], dict[str, Any], str]] = [
    ("unlisted", [ROOT_CRL, MIDDLE_CRL], {}, "good"),
    ("the leaf is listed", [ROOT_CRL, crl_of(MIDDLE, {77: 1})], {}, "revoked"),
    ("another is listed", [ROOT_CRL, crl_of(MIDDLE, {78: 1})], {}, "good"),
    ("on hold", [ROOT_CRL, crl_of(MIDDLE, {77: 6})], {}, "revoked"),
    ("the intermediate is listed", [crl_of(ROOT, {MIDDLE.certificate.serial: 0}), MIDDLE_CRL], {}, "revoked"),
    ("nor is it with check leaf", [crl_of(ROOT, {MIDDLE.certificate.serial: 0}), MIDDLE_CRL],
     {"check": Check.LEAF}, "good"),
    ("nobody looks with check none", [crl_of(MIDDLE, {77: 1})], {"check": Check.NONE}, "good"),
    ("no CRL of the intermediate", [ROOT_CRL], {}, "crl-missing"),
    ("no CRL of the root", [MIDDLE_CRL], {}, "crl-missing"),
    ("a missing one is allowed", [MIDDLE_CRL], {"allow_missing": True}, "good"),
    ("a listed one is not allowed", [crl_of(MIDDLE, {77: 1})], {"allow_missing": True}, "revoked"),
    ("out of date", [ROOT_CRL, crl_of(MIDDLE, **OLD)], {}, "crl-stale"),
    ("out of date is no missing", [ROOT_CRL, crl_of(MIDDLE, **OLD)], {"allow_missing": True}, "crl-stale"),
    ("within its grace", [ROOT_CRL, crl_of(MIDDLE, **OLD)], {"grace": 2 * DAY}, "good"),
    ("beyond its grace", [ROOT_CRL, crl_of(MIDDLE, **OLD)], {"grace": DAY / 2}, "crl-stale"),
    ("however old", [ROOT_CRL, crl_of(MIDDLE, **OLD)], {"grace": inf}, "good"),
    ("listed, out of date", [ROOT_CRL, crl_of(MIDDLE, {77: 1}, **OLD)], {"grace": inf}, "revoked"),
    ("of the future", [ROOT_CRL, crl_of(MIDDLE, this_update=NOW + DAY)], {}, "crl-missing"),
    ("the newer number counts", [ROOT_CRL, crl_of(MIDDLE, {77: 6}, number=4), crl_of(MIDDLE, number=5)], {}, "good"),
    ("an older one replaces nothing", [ROOT_CRL, crl_of(MIDDLE, {77: 1}, number=5), crl_of(MIDDLE, number=4)],
     {}, "revoked"),
    ("not even where the newer is out of date", [ROOT_CRL, crl_of(MIDDLE, number=5, **OLD), crl_of(MIDDLE, number=4)],
     {}, "crl-stale"),
    ("of a namesake", [ROOT_CRL, crl_of(make_ca("Middle"))], {}, "crl-missing"),
    ("a namesake's newer one", [ROOT_CRL, crl_of(MIDDLE, {77: 1}), crl_of(make_ca("Middle"), number=9)], {}, "revoked"),
    ("out of date, beside one of the CA's new key", [ROOT_CRL, crl_of(MIDDLE, **OLD), REKEYED_CRL],
     {"issuers": (REKEYED.certificate,)}, "good"),
    ("listed by the old key only", [ROOT_CRL, crl_of(MIDDLE, {77: 1}, **OLD), REKEYED_CRL],
     {"issuers": (REKEYED.certificate,)}, "revoked"),
    ("both out of date", [ROOT_CRL, crl_of(MIDDLE, **OLD), crl_of(REKEYED, **OLD)],
     {"issuers": (REKEYED.certificate,)}, "crl-stale"),
    ("of users only", [ROOT_CRL, crl_of(MIDDLE, extensions=[USERS])], {}, "good"),
    ("of CAs only", [ROOT_CRL, crl_of(MIDDLE, extensions=[CAS])], {}, "crl-missing"),
    ("of the root, users only", [crl_of(ROOT, extensions=[USERS]), MIDDLE_CRL], {}, "crl-missing"),
    ("its part", [ROOT_CRL, crl_of(MIDDLE, extensions=[HERE])], {"leaf": PARTED}, "good"),
    ("its part, listed", [ROOT_CRL, crl_of(MIDDLE, {77: 1}, extensions=[HERE])], {"leaf": PARTED}, "revoked"),
    ("another part", [ROOT_CRL, crl_of(MIDDLE, {77: 1}, extensions=[THERE])], {"leaf": PARTED}, "crl-missing"),
    ("a part, and no distribution point", [ROOT_CRL, crl_of(MIDDLE, extensions=[HERE])], {}, "crl-missing"),
    ("both parts", [ROOT_CRL, *(crl_of(MIDDLE, extensions=[part]) for part in (HERE, THERE))],
     {"leaf": PARTED}, "good"),
    ("some reasons", [ROOT_CRL, crl_of(MIDDLE, extensions=[point(only_some_reasons=KEY)])], {}, "crl-missing"),
    ("all reasons in two", [ROOT_CRL, *(crl_of(MIDDLE, extensions=[point(only_some_reasons=some)])
                                        for some in (KEY, REST))], {}, "good"),
    ("a delta lists", [ROOT_CRL, MIDDLE_CRL, crl_of(MIDDLE, {77: 1}, number=2, base=1)], {}, "revoked"),
    ("a delta removes", [ROOT_CRL, crl_of(MIDDLE, {77: 6}), crl_of(MIDDLE, {77: 8}, number=2, base=1)], {}, "good"),
    ("a delta of another base", [ROOT_CRL, MIDDLE_CRL, crl_of(MIDDLE, {77: 1}, number=3, base=2)], {}, "good"),
    ("a delta that is older", [ROOT_CRL, crl_of(MIDDLE, number=9), crl_of(MIDDLE, {77: 1}, number=2, base=1)],
     {}, "good"),
    ("a delta alone", [ROOT_CRL, crl_of(MIDDLE, number=2, base=1)], {}, "crl-missing"),
    ("a delta keeps its base up to date", [ROOT_CRL, crl_of(MIDDLE, **OLD), crl_of(MIDDLE, number=2, base=1)],
     {}, "good"),
    ("a delta of a namesake", [ROOT_CRL, MIDDLE_CRL, crl_of(make_ca("Middle"), {77: 1}, number=2, base=1)], {}, "good"),
]  # fmt: skip


@pytest.mark.parametrize(("crls", "settings", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_chain_is_judged_by_the_crls_that_speak_of_it(
    crls: list[Crl], settings: dict[str, Any], expected: str
) -> None:
    """In whatever order they were read."""
    assert answer(*crls, **settings) == answer(*reversed(crls), **settings) == expected


def test_a_refusal_carries_its_evidence() -> None:
    """The CRL, its number and dates, and the entry."""
    verdict = ask(ROOT_CRL, crl_of(MIDDLE, {77: 1}, number=12))
    assert isinstance(verdict, Refused)
    (evidence,) = verdict.revocation
    assert (evidence.source, evidence.number, evidence.issuer) == ("test.crl", 12, "CN=Middle")
    assert (evidence.revoked_at, evidence.reason) == (REVOKED_AT, "keyCompromise")
    assert (verdict.depth, verdict.until) == (0, inf)
    assert "serial 4D of CN=client was revoked on 2027-01-13 08:00 UTC (keyCompromise)" in verdict.detail


def test_an_outdated_crl_is_named_with_its_dates() -> None:
    """What locked everybody out is in the line."""
    verdict = ask(ROOT_CRL, crl_of(MIDDLE, number=3, **OLD))
    assert isinstance(verdict, Refused)
    named = "CRL 3 of CN=Middle (test.crl; from 2027-01-12 08:00 UTC, next update 2027-01-14 08:00 UTC)"
    assert named in verdict.detail
    assert verdict.revocation[0].next_update == NOW - DAY


@pytest.mark.parametrize(("grace", "until"), [(0.0, NOW + 9 * DAY), (DAY / 2, NOW + 9.5 * DAY)])
def test_a_permit_ends_with_the_first_crl(grace: float, until: float) -> None:
    """A memo of verdicts asks again then."""
    verdict = ask(ROOT_CRL, crl_of(MIDDLE, this_update=NOW - DAY / 2), grace=grace)
    assert isinstance(verdict, Admitted)
    assert verdict.until == until
    assert [evidence.depth for evidence in verdict.revocation] == [0, 1]
    assert answer(ROOT_CRL, MIDDLE_CRL, now=until + 1, grace=grace) == Reason.CRL_STALE


def test_a_crl_of_the_future_ends_the_verdict_that_was_made_without_it() -> None:
    """It is looked at when its time comes."""
    later = crl_of(MIDDLE, {77: 1}, number=2, this_update=NOW + DAY)
    verdict = ask(ROOT_CRL, MIDDLE_CRL, later)
    assert isinstance(verdict, Admitted)
    assert verdict.until < NOW + DAY
    assert answer(ROOT_CRL, MIDDLE_CRL, later, now=NOW + DAY) == "revoked"


DELEGATE = make_ca("Delegate", ROOT)
DELEGATED = make_leaf(
    MIDDLE, serial=77, extensions=[points(at("http://x/i.crl", by=DELEGATE.certificate.x509.subject))]
)


@pytest.mark.parametrize(
    ("signer", "listed", "expected"),
    [(DELEGATE, {}, "good"), (DELEGATE, {77: 1}, "revoked"), (make_ca("Delegate"), {}, "crl-missing")],
    ids=["unlisted", "listed", "a signer of another root"],
)
def test_another_issuer_speaks_where_the_certificate_names_it(
    signer: Issued, listed: dict[int, int], expected: str
) -> None:
    """And its certificate leads to the same anchor."""
    indirect = crl_of(
        signer, listed, extensions=[point(full_name=uri("http://x/i.crl"), indirect_crl=True)],
        certificate_issuer=MIDDLE.certificate.x509.subject if listed else None,
    )  # fmt: skip
    found = answer(ROOT_CRL, indirect, leaf=DELEGATED, issuers=(signer.certificate,))
    assert found == expected


def test_a_permit_ends_with_the_crl_that_its_crl_issuer_rests_on() -> None:
    """The delegate has a CA of its own, whose CRL is the first to end, and that no other certificate needs."""
    between = make_ca("Between", ROOT)
    signer = make_ca("Far delegate", between)
    named = at("http://x/i.crl", by=signer.certificate.x509.subject)
    leaf = make_leaf(MIDDLE, serial=77, extensions=[points(named)])
    indirect = crl_of(signer, extensions=[point(full_name=uri("http://x/i.crl"), indirect_crl=True)])
    crls = (ROOT_CRL, indirect, crl_of(between, next_update=NOW + DAY))
    verdict = ask(*crls, leaf=leaf, issuers=(signer.certificate, between.certificate))
    assert isinstance(verdict, Admitted)
    assert verdict.until == NOW + DAY


def test_a_revoked_crl_issuer_is_not_believed() -> None:
    """Its own status is asked for as well."""
    root = crl_of(ROOT, {DELEGATE.certificate.serial: 1})
    indirect = crl_of(DELEGATE, extensions=[point(full_name=uri("http://x/i.crl"), indirect_crl=True)])
    verdict = ask(root, indirect, leaf=DELEGATED, issuers=(DELEGATE.certificate,))
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.CRL_MISSING
    assert "was revoked" in verdict.detail


def test_explain_shows_the_step_behind_the_policy() -> None:
    """What is asked, and what was looked at."""
    revocation = Revocation(Check.CHAIN, CrlStore((ROOT_CRL, MIDDLE_CRL)))
    bundle = Bundle("test", (ROOT.certificate,), revocation=revocation)
    *_, step = explain(peer_of((LEAF.certificate, MIDDLE.certificate)), Gate(bundle), NOW)
    assert (step.name, step.refusal) == ("revocation", None)
    assert step.asked.startswith("check chain, 2 CRLs; when stale: deny; when missing: deny; depth 0 is not in CRL 1")
