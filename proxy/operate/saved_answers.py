"""Saved answers: OCSP responses out of files, in the place of responders that ``explain`` does not ask.

They are read and believed by the functions that read those of live responders, but for the nonce, which nobody sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path

from proxy.decide.peer.answers import Answer, Answers, Failure, Fault, Unusable
from proxy.decide.peer.chain import Peer
from proxy.decide.peer.gate import Gate, judge
from proxy.decide.peer.needs import OcspNeed
from proxy.decide.peer.ocsp.response import MAX_RESPONSE, read_answer
from proxy.decide.verdict import Pending
from proxy.snapshot.files import FileError, read
from proxy.snapshot.problems import ConfigError, Problem

_NOT_MEANT = frozenset({Fault.OTHER_CERTIFICATE, Fault.WRONG_SIGNER})
"""What a response about another certificate of the chain is refused with."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A response, and the file that it is in."""

    file: str
    der: bytes


def read_saved(paths: Iterable[Path]) -> tuple[Saved, ...]:
    """Read the files of responses, one DER response each. Raises ConfigError."""
    return tuple(map(_saved, paths))


def _saved(path: Path) -> Saved:
    try:
        return Saved(str(path), read(path, MAX_RESPONSE).data)
    except FileError as fault:
        raise ConfigError([Problem(path, None, "", fault.words)]) from fault


def settle(saved: tuple[Saved, ...], peer: Peer, gates: Iterable[Gate], now: float) -> None:
    """Answer what the verdicts on ``peer`` wait for at Unix time ``now``, as far as there are responses at all."""
    for gate in gates:
        verdict, revocation = judge(peer, gate, now), gate.bundle.revocation
        if isinstance(verdict, Pending) and revocation is not None and saved:
            for need in verdict.needs:
                if isinstance(need, OcspNeed):
                    _answer(need, saved, revocation.answers, now)


def _answer(need: OcspNeed, saved: tuple[Saved, ...], answers: Answers, now: float) -> None:
    """Take every response that answers; where none does, say what is wrong with the one that was meant."""
    failures: list[Failure] = []
    for one in saved:
        match read_answer(one.der, need, None, one.file, now):
            case Answer() as answer:
                answers.put(need.key, answer)
            case Unusable() as found:
                failures.append(Failure(found.fault, found.detail, one.file, now, inf))
    if answers.find(need.key).answer is None:
        meant = (failure for failure in failures if failure.fault not in _NOT_MEANT)
        answers.put(need.key, next(meant, failures[0]))
