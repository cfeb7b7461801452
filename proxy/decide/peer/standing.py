"""Standing: how a chain stands as to revocation, as far as its CRLs and its responders tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from proxy.decide.verdict import Reason, Refused

if TYPE_CHECKING:
    from proxy.decide.peer.crl.evidence import Evidence
    from proxy.decide.peer.needs import Need
    from proxy.decide.peer.ocsp.evidence import OcspEvidence


@dataclass(frozen=True, slots=True)
class Good:
    """Nobody is revoked: what says so, and until when in Unix seconds.

    ``refresh`` is what should be asked for now, because an answer grows old; nobody waits for it.
    """

    evidence: tuple[Evidence | OcspEvidence, ...] = ()
    until: float = inf
    refresh: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """It depends on ``needs``; ``otherwise`` is what holds if none of them is met in time."""

    needs: tuple[Need, ...]
    otherwise: Good | Refused


Standing = Good | Refused | Waiting


def all_of(standings: Iterable[Standing]) -> Standing:
    """Ask every one to be good: any refusal refuses, a revocation before all others; then any that waits makes wait.

    The result holds until the first of them ends.
    """
    found = list(standings)
    refusals = [standing for standing in found if isinstance(standing, Refused)]
    if refusals:
        revoked = (refusal for refusal in refusals if refusal.reason is Reason.REVOKED)
        return next(revoked, refusals[0])
    waiting = [standing for standing in found if isinstance(standing, Waiting)]
    good = [standing for standing in found if isinstance(standing, Good)]
    if not waiting:
        return _merged(good)
    otherwise = all_of((*good, *(standing.otherwise for standing in waiting)))
    if isinstance(otherwise, Waiting):
        raise TypeError("what follows without an answer waits for none")
    needs = {need.key: need for standing in waiting for need in standing.needs}
    return Waiting(tuple(needs.values()), otherwise)


def _merged(good: list[Good]) -> Good:
    return Good(
        evidence=tuple(evidence for one in good for evidence in one.evidence),
        until=min((one.until for one in good), default=inf),
        refresh=tuple({need.key: need for one in good for need in one.refresh}.values()),
    )
