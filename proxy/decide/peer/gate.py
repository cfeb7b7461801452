"""The gate of a route: the bundle that a client's chain must reach, the policy on top of it, and revocation.

The same steps judge a live connection (which stops at the first refusal) and explain one (which shows them all).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from proxy.decide.facts import Certificate
from proxy.decide.peer.chain import Bundle, Peer, verify
from proxy.decide.peer.crl.status import Good, check_revocation
from proxy.decide.peer.policy.rule import Rule
from proxy.decide.verdict import Admitted, Identity, Refused, Verdict


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


def judge(peer: Peer, gate: Gate, now: float) -> Verdict:
    """Judge a client's certificates at a gate at Unix time ``now``; the first refusal ends it."""
    chain = verify(peer, gate.bundle, now)
    if isinstance(chain, Refused):
        return chain
    identity = Identity(chain[0], chain[1:], gate.bundle.name)
    for rule in gate.rules:
        refusal = rule.judge(identity, now)
        if refusal is not None:
            return refusal
    status = _revocation(peer, chain, gate, now)
    if isinstance(status, Refused):
        return status
    return Admitted(identity, min(status.until, _until(identity, gate)), status.evidence)


def _revocation(peer: Peer, chain: tuple[Certificate, ...], gate: Gate, now: float) -> Good | Refused:
    """Ask the bundle's CRLs last: what the chain or the policy refuses need not be looked up."""
    if gate.bundle.revocation is None:
        return Good((), inf)
    return check_revocation(peer, chain, gate.bundle, gate.bundle.revocation, now)


def explain(peer: Peer, gate: Gate, now: float) -> Iterator[Step]:
    """Yield every step that ``judge`` takes, also those after a refusal by policy, with its verdict."""
    chain = verify(peer, gate.bundle, now)
    count = len(gate.bundle.anchors)
    asked = f"a chain to bundle {gate.bundle.name} ({count} anchor{'s' * (count != 1)})"
    if isinstance(chain, Refused):
        yield Step("chain", asked, chain)
        return
    yield Step("chain", asked, None)
    identity = Identity(chain[0], chain[1:], gate.bundle.name)
    for rule in gate.rules:
        yield Step(rule.key, str(rule), rule.judge(identity, now))
    if gate.bundle.revocation is not None:
        status, asked = _revocation(peer, chain, gate, now), str(gate.bundle.revocation)
        if isinstance(status, Refused):
            yield Step("revocation", asked, status)
        else:
            found = "".join(f"; depth {evidence.depth} is not in {evidence}" for evidence in status.evidence)
            yield Step("revocation", asked + found, None)


def _until(identity: Identity, gate: Gate) -> float:
    ends = [cert.not_after for cert in (identity.leaf, *identity.issuers)]
    ends.extend(rule.expires(identity) for rule in gate.rules)
    return min(ends)
