"""A memo of verdicts: a certificate is judged once per gate, and again when the clock changes the answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxy.decide.peer.chain import Bundle, Path, Peer, verify
from proxy.decide.peer.gate import Gate, judge
from proxy.decide.verdict import Admitted, Pending, Reason, Refused, Verdict

_DIGEST: Final = 32
"""Octets of a SHA-256 fingerprint; a peer's key is a row of them."""

_Key = tuple[bytes, Gate]


class Verdicts:
    """Remembers at most ``limit`` verdicts; the oldest goes first.

    It belongs to one snapshot: its keys are that snapshot's gates. A gate that is the same object in the snapshot
    before asks the same, of the same bundle and CRLs, so what ``before`` knows of it still holds. It is taken over when
    it is asked for: most of ten thousand open connections are not judged anew because another bundle got a CRL.
    """

    __slots__ = ("_before", "_by_certificate", "_known", "_limit")

    def __init__(self, limit: int, before: Verdicts | None = None) -> None:
        self._before = before
        if before is not None:
            before._before = None  # noqa: SLF001 - one generation is kept, not all of them
        self._known: dict[_Key, Admitted | Refused] = {}
        self._by_certificate: dict[bytes, set[_Key]] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._known)

    def judge(self, peer: Peer, gate: Gate, now: float) -> Verdict:
        """Return the verdict on ``peer`` at ``gate`` at Unix time ``now``, from memory while it holds."""
        key = (peer.key, gate)
        known = self._known.get(key) or self._carried(key)
        if known is not None and now < known.until:
            return known
        verdict = judge(peer, gate, now)
        if isinstance(verdict, Pending):
            if known is not None:
                self._drop(key)
        else:
            self._remember(key, verdict)
        return verdict

    def _carried(self, key: _Key) -> Admitted | Refused | None:
        before = self._before
        known = None if before is None else before._known.get(key)  # noqa: SLF001
        if known is not None:
            self._remember(key, known)
        return known

    def _remember(self, key: _Key, verdict: Admitted | Refused) -> None:
        if key not in self._known:
            if len(self._known) >= self._limit:
                self._drop(next(iter(self._known)))
            for digest in _digests(key[0]):
                self._by_certificate.setdefault(digest, set()).add(key)
        self._known[key] = verdict

    def _drop(self, key: _Key) -> None:
        del self._known[key]
        for digest in _digests(key[0]):
            rest = self._by_certificate[digest]
            rest.discard(key)
            if not rest:
                del self._by_certificate[digest]

    def judge_any(self, peer: Peer, gates: Iterable[Gate], now: float) -> Verdict:
        """Admit a peer that any gate admits; else wait where any gate does; else return the most telling refusal.

        That a chain does not lead to *this* bundle says the least where another bundle knew it.
        """
        verdicts: list[Verdict] = []
        for gate in gates:
            verdict = self.judge(peer, gate, now)
            if isinstance(verdict, Admitted):
                return verdict
            verdicts.append(verdict)
        return _of_all(verdicts)

    def judge_stranger(self, peer: Peer, gates: Iterable[Gate], now: float) -> tuple[Verdict, set[str]]:
        """Judge a peer whom nobody has verified yet as ``judge_any`` does; return also what fingerprints were verified.

        Each bundle's path is verified once. What comes of it is remembered only where the peer shows nothing but
        certificates of such paths: there are only as many of those as their authorities have issued, while anybody
        could show others with each connection, and a stranger has not even proved that it holds the leaf's key.
        """
        paths: dict[Bundle, Path | Refused] = {}
        verdicts: dict[Gate, Verdict] = {}
        for gate in gates:
            path = paths.get(gate.bundle)
            if path is None:
                path = paths[gate.bundle] = verify(peer, gate.bundle, now)
            verdicts[gate] = verdict = judge(peer, gate, now, path)
            if isinstance(verdict, Admitted):
                break
        verified = {cert.fingerprint for path in paths.values() if not isinstance(path, Refused) for cert in path}
        if verified.issuperset(cert.fingerprint for cert in (peer.leaf, *peer.intermediates)):
            for gate, verdict in verdicts.items():
                if not isinstance(verdict, Pending):
                    self._remember((peer.key, gate), verdict)
        return _of_all(verdicts.values()), verified

    def forget(self, fingerprint: str) -> None:
        """Drop the verdicts on every peer with this certificate among what it showed: its status has changed."""
        for key in tuple(self._by_certificate.get(bytes.fromhex(fingerprint), ())):
            self._drop(key)
        if self._before is not None:
            self._before.forget(fingerprint)


def _digests(peer_key: bytes) -> set[bytes]:
    """Return the fingerprints that a peer's key is made of; a client may show a certificate twice."""
    return {peer_key[at : at + _DIGEST] for at in range(0, len(peer_key), _DIGEST)}


def _of_all(verdicts: Iterable[Verdict]) -> Verdict:
    """Return what the verdicts of several gates come to."""
    refusals: list[Refused] = []
    pending: list[Pending] = []
    for verdict in verdicts:
        if isinstance(verdict, Admitted):
            return verdict
        if isinstance(verdict, Pending):
            pending.append(verdict)
        else:
            refusals.append(verdict)
    return _together(pending, refusals) if pending else _most_telling(refusals)


def _together(pending: list[Pending], refusals: list[Refused]) -> Pending:
    """Wait for what any gate waits for; unanswered, the peer gets what the most lenient of them says."""
    needs = {need.key: need for verdict in pending for need in verdict.needs}
    ends = [verdict.otherwise for verdict in pending]
    admitted = next((end for end in ends if isinstance(end, Admitted)), None)
    refused = [end for end in ends if isinstance(end, Refused)]
    return Pending(tuple(needs.values()), admitted or _most_telling([*refused, *refusals]))


def _most_telling(refusals: list[Refused]) -> Refused:
    telling = (refusal for refusal in refusals if refusal.reason is not Reason.UNTRUSTED_ISSUER)
    return next(telling, refusals[0])
