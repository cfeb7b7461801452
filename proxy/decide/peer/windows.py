"""Windows: from when and until when a bundle trusts an anchor, whatever the anchor's own dates are.

They are for rotation: a new CA counts from a date on, the old one until a date, and nobody has to be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from proxy.decide.facts import Certificate
from proxy.decide.text import printable

MAX_SUBJECT: Final = 256
"""Characters of an anchor's subject in a refusal's detail."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of Unix time in seconds: ``not_before`` belongs to it, ``not_after`` does not any more.

    So one anchor can end at the very moment at which another begins.
    """

    not_before: float = -inf
    not_after: float = inf

    def holds(self, now: float) -> bool:
        """Tell whether ``now`` is in the span."""
        return self.not_before <= now < self.not_after

    def __str__(self) -> str:
        """Write it as people do: ``from 2027-01-01T00:00:00Z until 2028-01-01T00:00:00Z``."""
        begin = f"from {instant(self.not_before)}" if self.not_before > -inf else ""
        end = f"until {instant(self.not_after)}" if self.not_after < inf else ""
        return f"{begin} {end}".strip() or "always"


ALWAYS: Final = Window()

Windows = Mapping[str, Window]
"""The windows of anchors by their fingerprints; an anchor without one always counts."""


def instant(unix: float) -> str:
    """Write a Unix time as the configuration does: ``2027-01-01T00:00:00Z``."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def next_change(windows: Iterable[Window], now: float) -> float:
    """Return the first Unix time after ``now`` at which a window begins or ends; infinity where none does."""
    ends = (end for window in windows for end in (window.not_before, window.not_after))
    return min((end for end in ends if end > now), default=inf)


def last_change(windows: Iterable[Window], now: float) -> float:
    """Return the last Unix time up to ``now`` at which a window began or ended; minus infinity where none did."""
    ends = (end for window in windows for end in (window.not_before, window.not_after))
    return max((end for end in ends if end <= now), default=-inf)


def first_gap(windows: Iterable[Window], now: float) -> Window | None:
    """Return the first span, from ``now`` on, in which no window is open; None where one always is."""
    covered = now
    for window in sorted(windows, key=lambda window: window.not_before):
        if window.not_before > covered:
            return Window(covered, window.not_before)
        covered = max(covered, window.not_after)
    return Window(covered) if covered < inf else None


def closed_anchor(failed: Certificate, anchors: Iterable[Certificate], windows: Windows, now: float) -> str | None:
    """Say which anchor would have ended a chain at ``failed`` if its window were open; None where none would."""
    for anchor in anchors:
        window = windows.get(anchor.fingerprint, ALWAYS)
        if not window.holds(now) and (failed.der == anchor.der or _issued(failed, anchor)):
            return f"anchor {printable(anchor.subject, MAX_SUBJECT)} {told(window, now)}"
    return None


def told(window: Window, now: float) -> str:
    """Say when a window that is closed at ``now`` begins, or when it ended."""
    if now < window.not_before:
        return f"is trusted from {instant(window.not_before)} on"
    return f"was trusted until {instant(window.not_after)}"


def _issued(cert: Certificate, anchor: Certificate) -> bool:
    """Tell whether an anchor signed a certificate: a CA's successor often has its name."""
    try:
        cert.x509.verify_directly_issued_by(anchor.x509)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
