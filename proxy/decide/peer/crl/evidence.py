"""Evidence: what a judgement about revocation rests on, for the log and for whoever asks why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

REASONS: Final[Mapping[int, str]] = {
    0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded",
    5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise",
}  # fmt: skip
"""CRLReason codes (RFC 5280, section 5.3.1); 7 is not used."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One CRL that was looked at, and what it says of the certificate at ``depth`` of the chain.

    ``source`` is the file or the address that it came from, ``base`` the number that a delta CRL builds on. Times are
    Unix seconds; ``revoked_at`` and ``reason`` are None where the certificate is not listed, ``fetched_at`` where
    nobody asks for it. The issuer's name is its own claim.
    """

    depth: int
    source: str
    issuer: str
    number: int | None
    base: int | None
    this_update: float
    next_update: float
    revoked_at: float | None = None
    reason: str | None = None
    fetched_at: float | None = None

    def __str__(self) -> str:
        """Name the CRL as an operator looks for it: number, issuer, source and dates."""
        number = "without a number" if self.number is None else str(self.number)
        kind = "CRL" if self.base is None else "delta CRL"
        dates = f"from {moment(self.this_update)}, next update {moment(self.next_update)}"
        fetched = "" if self.fetched_at is None else f", fetched {moment(self.fetched_at)}"
        return f"{kind} {number} of {self.issuer} ({self.source}{fetched}; {dates})"


def moment(unix: float) -> str:
    """Write a Unix time for people: ``2027-03-31 12:00 UTC``."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M UTC")
