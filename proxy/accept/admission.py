"""Admission: how many connections and handshakes there may be, from whom and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.decide.bounded import put
from proxy.decide.verdict import Reason, Refused

MAX_ADDRESSES: Final = 10_000
"""Client addresses whose handshake rate is remembered; the longest silent one is forgotten first."""

BURST_SECONDS: Final = 1.0
"""A client address may spend the handshakes of this many seconds at once: a CDN opens connections in bursts."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Bounds: open connections, handshakes in progress, handshakes per second and client address (None: any)."""

    connections: int
    handshakes: int
    handshake_rate: float | None


class Admission:
    """Counts what is open, and says no before a handshake costs anything."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
        self.connections = 0
        self.handshakes = 0
        self._tokens: dict[str, tuple[float, float]] = {}

    def judge(self, address: str, now: float) -> Refused | None:
        """Refuse a new connection from ``address`` at monotonic time ``now``, or return None."""
        limits = self.limits
        if self.connections >= limits.connections:
            return Refused(Reason.TOO_MANY_CONNECTIONS, f"{limits.connections} connections are open")
        if self.handshakes >= limits.handshakes:
            return Refused(Reason.TOO_MANY_CONNECTIONS, f"{limits.handshakes} handshakes are in progress")
        if limits.handshake_rate is not None and not self._spend(address, limits.handshake_rate, now):
            return Refused(Reason.RATE_LIMITED, f"more than {limits.handshake_rate:g} handshakes per second from here")
        return None

    def _spend(self, address: str, rate: float, now: float) -> bool:
        """Take one token from the address's bucket, which fills at ``rate`` and holds a burst's worth."""
        size = max(1.0, rate * BURST_SECONDS)
        tokens, since = self._tokens.pop(address, (size, now))
        tokens = min(size, tokens + (now - since) * rate)
        allowed = tokens >= 1.0
        put(self._tokens, address, (tokens - 1.0 if allowed else tokens, now), MAX_ADDRESSES)
        return allowed
