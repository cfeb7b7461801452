"""Settings: what a bundle asks of OCSP."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from proxy.decide.peer.depth import Check
from proxy.decide.peer.hosts import Hosts
from proxy.decide.peer.needs import Nonce

TIMEOUT: Final = 2.0
"""Seconds for a responder to answer, the connection to it included: a client waits for it, CloudFront at most 10 s."""

REFRESH: Final = 3600.0
"""Seconds after which an answer is asked for again though it is still good: how late a revocation may be noticed."""

UNKNOWN_REFRESH: Final = 60.0
"""Seconds after which ``unknown`` is asked for again: a responder learns of a new certificate within minutes."""

UNDATED: Final = 3600.0
"""Seconds for which an answer without nextUpdate counts: its responder always has newer (RFC 6960, section 2.4)."""

SKEW: Final = 300.0
"""Seconds by which a responder's clock and ours may differ, at both ends of an answer's time, as OpenSSL has it."""


class Mode(StrEnum):
    """What follows where there is no answer: ``hard`` refuses, ``soft`` admits. Neither overrules an answer."""

    OFF = "off"
    SOFT = "soft"
    HARD = "hard"


class Digest(StrEnum):
    """The hash that a request names the issuer by. It protects nothing, and many responders know SHA-1 only."""

    SHA1 = "sha1"
    SHA256 = "sha256"


@dataclass(frozen=True, slots=True)
class Ocsp:
    """How the certificates of a bundle's chains are asked about. Durations are seconds.

    ``check`` says which certificates are asked about, None: those of the bundle's ``check``. ``responder`` is one
    address for all, None is the one that each certificate names (its AIA), of a host of
    ``hosts``. ``max_age`` is how long after its thisUpdate an answer counts at most, None is until its nextUpdate.
    """

    mode: Mode = Mode.HARD
    check: Check | None = None
    responder: str | None = None
    hosts: Hosts = field(default_factory=Hosts)
    timeout: float = TIMEOUT
    digest: Digest = Digest.SHA1
    nonce: Nonce = Nonce.ASK
    max_age: float | None = None
    refresh: float = REFRESH

    def __str__(self) -> str:
        """Say who is asked, and which way it falls without an answer, as the configuration does."""
        who = f"the responder of each certificate ({self.hosts})" if self.responder is None else self.responder
        return f"OCSP of {who}; {self.mode}: without an answer {'admit' if self.mode is Mode.SOFT else 'refuse'}"
