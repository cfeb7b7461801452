"""Gates: a chain and every rule, or a refusal; and until when."""

from __future__ import annotations

from proxy.decide.peer.chain import Bundle, peer_of
from proxy.decide.peer.gate import Gate, explain, judge
from proxy.decide.peer.policy.max_chain import MaxChain
from proxy.decide.peer.policy.not_after_limit import NotAfterLimit
from proxy.decide.peer.policy.san_dns import SanDns
from proxy.decide.verdict import Admitted, Reason, Refused
from tests.support.certificates import DAY, NOW, make_ca, make_leaf

_ROOT = make_ca("Root", not_after=NOW + 100 * DAY)
_BUNDLE = Bundle("cdn", (_ROOT.certificate,))
_LEAF = make_leaf(_ROOT, dns=["edge.cdn.example"], not_after=NOW + 10 * DAY)
_PEER = peer_of([_LEAF.certificate])

_NAMES = SanDns.from_setting(["*.cdn.example"])
_OTHER_NAMES = SanDns.from_setting(["*.partner.example"])
_SHORT = MaxChain.from_setting(1)


def test_a_permit_names_the_leaf_its_issuers_and_the_bundle() -> None:
    """The identity is the verified leaf, and nothing that the client sent beside it."""
    extra = make_leaf(_ROOT, "extra").certificate
    verdict = judge(peer_of([_LEAF.certificate, extra]), Gate(_BUNDLE, (_NAMES,)), NOW)
    assert isinstance(verdict, Admitted)
    assert verdict.identity is not None
    assert verdict.identity.leaf is _LEAF.certificate
    assert verdict.identity.issuers == (_ROOT.certificate,)
    assert verdict.identity.bundle == "cdn"


def test_a_permit_ends_with_the_first_certificate() -> None:
    """Leaf or issuer, whichever is first."""
    assert judge(_PEER, Gate(_BUNDLE), NOW).until == NOW + 10 * DAY
    middle = make_ca("Middle", _ROOT, not_after=NOW + 3 * DAY)
    below = peer_of([make_leaf(middle).certificate, middle.certificate])
    assert judge(below, Gate(_BUNDLE), NOW).until == NOW + 3 * DAY


def test_a_permit_ends_with_the_contract() -> None:
    """A rule with an end date ends the permit, where it is earlier."""
    contract = NotAfterLimit.from_setting("2027-01-17")
    gate = Gate(_BUNDLE, (_NAMES, contract))
    verdict = judge(_PEER, gate, NOW)
    assert isinstance(verdict, Admitted)
    assert NOW < verdict.until < NOW + 10 * DAY
    ended = judge(_PEER, gate, verdict.until)
    assert isinstance(ended, Refused)
    assert ended.reason is Reason.CONTRACT_ENDED


def test_a_permit_holds_until_it_ends() -> None:
    """A verdict may be kept up to ``until``: just before, a fresh judgement says the same, and at it, another."""
    gate = Gate(_BUNDLE, (_NAMES,))
    until = judge(_PEER, gate, NOW).until
    assert isinstance(judge(_PEER, gate, until - 1), Admitted)
    late = judge(_PEER, gate, until + 1)
    assert isinstance(late, Refused)
    assert late.reason is Reason.EXPIRED


def test_the_first_refusal_counts() -> None:
    """The chain before the policy, and the rules in their order."""
    stranger = peer_of([make_leaf(make_ca("Rogue"), dns=["edge.cdn.example"]).certificate])
    verdicts = [
        judge(stranger, Gate(_BUNDLE, (_OTHER_NAMES,)), NOW),
        judge(_PEER, Gate(_BUNDLE, (_NAMES, _SHORT, _OTHER_NAMES)), NOW),
        judge(_PEER, Gate(_BUNDLE, (_OTHER_NAMES, _SHORT)), NOW),
    ]
    reasons = [verdict.reason for verdict in verdicts if isinstance(verdict, Refused)]
    assert reasons == [Reason.UNTRUSTED_ISSUER, Reason.CHAIN_TOO_LONG, Reason.NAME_NOT_ALLOWED]


def test_an_empty_rule_refuses_all() -> None:
    """A list that somebody emptied admits nobody."""
    assert isinstance(judge(_PEER, Gate(_BUNDLE, (SanDns.from_setting([]),)), NOW), Refused)


def test_one_certificate_two_gates() -> None:
    """The same peer is judged for each route's own bundle."""
    other = Gate(Bundle("partners", (make_ca("Partners").certificate,)))
    assert isinstance(judge(_PEER, Gate(_BUNDLE), NOW), Admitted)
    assert isinstance(judge(_PEER, other, NOW), Refused)


def test_explain_shows_every_step() -> None:
    """Also the rules after a refusal, each with what it asks."""
    steps = list(explain(_PEER, Gate(_BUNDLE, (_OTHER_NAMES, _NAMES, _SHORT)), NOW))
    assert [(step.name, step.refusal and step.refusal.reason) for step in steps] == [
        ("chain", None),
        ("san_dns", Reason.NAME_NOT_ALLOWED),
        ("san_dns", None),
        ("max_chain", Reason.CHAIN_TOO_LONG),
    ]
    assert steps[1].asked == "a DNS name in [*.partner.example]"


def test_explain_stops_without_a_chain() -> None:
    """Rules judge identities, and there is none."""
    stranger = peer_of([make_leaf(make_ca("Rogue")).certificate])
    steps = list(explain(stranger, Gate(_BUNDLE, (_NAMES,)), NOW))
    assert [(step.name, step.refusal and step.refusal.reason) for step in steps] == [("chain", Reason.UNTRUSTED_ISSUER)]
