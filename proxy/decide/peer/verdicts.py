"""A memo of verdicts: a certificate is judged once per gate, and again when the clock changes the answer."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.decide.peer.chain import Peer
from proxy.decide.peer.gate import Gate, judge
from proxy.decide.verdict import Admitted, Reason, Refused, Verdict


class Verdicts:
    """Remembers at most ``limit`` verdicts; the oldest goes first.

    It belongs to one snapshot: its keys are that snapshot's gates.
    """

    __slots__ = ("_known", "_limit")

    def __init__(self, limit: int) -> None:
        self._known: dict[tuple[bytes, Gate], Verdict] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._known)

    def judge(self, peer: Peer, gate: Gate, now: float) -> Verdict:
        """Return the verdict on ``peer`` at ``gate`` at Unix time ``now``, from memory while it holds."""
        key = (peer.key, gate)
        known = self._known.get(key)
        if known is not None and now < known.until:
            return known
        verdict = judge(peer, gate, now)
        if len(self._known) >= self._limit:
            del self._known[next(iter(self._known))]
        self._known[key] = verdict
        return verdict

    def judge_any(self, peer: Peer, gates: Iterable[Gate], now: float) -> Verdict:
        """Admit a peer that any gate admits; else return the most telling refusal.

        That a chain does not lead to *this* bundle says the least where another bundle knew it.
        """
        refusals: list[Refused] = []
        for gate in gates:
            verdict = self.judge(peer, gate, now)
            if isinstance(verdict, Admitted):
                return verdict
            refusals.append(verdict)
        telling = (refusal for refusal in refusals if refusal.reason is not Reason.UNTRUSTED_ISSUER)
        return next(telling, refusals[0])
