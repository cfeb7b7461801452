"""The gate of a route: the bundle that a client's chain must reach, the policy on top of it, and revocation.

The same steps judge a live connection (which stops at the first refusal) and explain one (which shows them all).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from proxy.decide.peer.chain import Bundle, Path, Peer, verify
from proxy.decide.peer.crl.evidence import Evidence
from proxy.decide.peer.ocsp.evidence import OcspEvidence
from proxy.decide.peer.policy.rule import Rule
from proxy.decide.peer.revocation import check
from proxy.decide.peer.standing import Good, Standing, Waiting
from proxy.decide.verdict import Admitted, Identity, Pending, Refused, Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """Who may pass: a chain to ``bundle`` and every one of ``rules``."""

    bundle: Bundle
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a judgement: its name, what was asked, and the refusal if it failed."""

    name: str
    asked: str
    refusal: Refused | None


def judge(peer: Peer, gate: Gate, now: float, path: Path | Refused | None = None) -> Verdict:
    """Judge a client's certificates at a gate at Unix time ``now``; the first refusal ends it.

    ``path`` is what ``verify`` has made of them for the gate's bundle, where that is known. No verdict outlives the
    anchors that count now: others may lead to another path, and so to another identity.
    """
    change = gate.bundle.next_change(now)
    verdict = _judge(peer, gate, now, change, verify(peer, gate.bundle, now) if path is None else path)
    return replace(verdict, until=change) if isinstance(verdict, Refused) and change < verdict.until else verdict


def _judge(peer: Peer, gate: Gate, now: float, change: float, chain: Path | Refused) -> Verdict:
    if isinstance(chain, Refused):
        return chain
    identity = Identity(chain[0], chain[1:], gate.bundle.name)
    for rule in gate.rules:
        refusal = rule.judge(identity, now)
        if refusal is not None:
            return refusal
    return _verdict(identity, min(_until(identity, gate), change), check(peer, chain, gate.bundle, now))


def _verdict(identity: Identity, until: float, standing: Standing) -> Verdict:
    """Turn how a chain stands as to revocation, which is asked last, into the verdict on its identity."""
    match standing:
        case Good():
            ends = min(standing.until, until)
            return Admitted(identity, ends, standing.evidence, standing.refresh)
        case Waiting():
            otherwise = _verdict(identity, until, standing.otherwise)
            if isinstance(otherwise, Pending):
                raise TypeError("what follows without an answer waits for none")
            return Pending(standing.needs, otherwise)
        case Refused():
            return standing


def explain(peer: Peer, gate: Gate, now: float) -> Iterator[Step]:
    """Yield every step that ``judge`` takes, also those after a refusal by policy, with its verdict."""
    chain = verify(peer, gate.bundle, now)
    asked = f"a chain to bundle {gate.bundle.name} ({_counted(gate.bundle, now)})"
    if isinstance(chain, Refused):
        yield Step("chain", asked, chain)
        return
    yield Step("chain", asked, None)
    identity = Identity(chain[0], chain[1:], gate.bundle.name)
    for rule in gate.rules:
        yield Step(rule.key, str(rule), rule.judge(identity, now))
    if gate.bundle.revocation is not None:
        yield _revocation(check(peer, chain, gate.bundle, now), str(gate.bundle.revocation))


def _counted(bundle: Bundle, now: float) -> str:
    count = len(bundle.anchors)
    closed = sum(not window.holds(now) for window in bundle.windows.values())
    return f"{count} anchor{'s' * (count != 1)}{f', {closed} of them outside its window' if closed else ''}"


def _revocation(standing: Standing, asked: str) -> Step:
    match standing:
        case Refused():
            return Step("revocation", asked, standing)
        case Waiting():
            return Step("revocation", f"{asked}; it takes {' and '.join(map(str, standing.needs))}", None)
        case Good():
            return Step("revocation", asked + "".join(map(_told, standing.evidence)), None)


def _told(evidence: Evidence | OcspEvidence) -> str:
    if isinstance(evidence, OcspEvidence):
        return f"; depth {evidence.depth}: {evidence}"
    return f"; depth {evidence.depth} is not in {evidence}"


def _until(identity: Identity, gate: Gate) -> float:
    ends = [cert.not_after for cert in (identity.leaf, *identity.issuers)]
    ends.extend(rule.expires(identity) for rule in gate.rules)
    return min(ends)
