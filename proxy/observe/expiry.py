"""Expiry of the certificates that clients present: who must renew soon, said early and then seldom.

A CDN does not renew the certificate that it presents to its origin, and does not look at its end; the origin is
the one place that sees it in use, and the day after its end every request is refused.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from proxy.decide.facts import Certificate

THRESHOLDS: Final = (30, 14, 7, 3, 1)
"""Days. A month to order a certificate, then reminders that come closer as the time to act runs out."""

MAX_CERTIFICATES: Final = 10_000
"""Certificates near their end that are remembered; the one seen longest ago is forgotten first, and warned of again."""

DAY: Final = 86_400.0
"""Seconds."""


class ExpiryWatch:
    """Remembers which warning each certificate has had."""

    def __init__(self, max_certificates: int = MAX_CERTIFICATES) -> None:
        self._max = max_certificates
        self._warned: OrderedDict[str, int] = OrderedDict()

    def due(self, cert: Certificate, now: float) -> int | None:
        """Return the threshold in days that ``cert`` has just crossed at Unix time ``now``, or None.

        Each threshold is returned once per certificate, and only the closest where several were crossed unseen.
        An expired certificate nears nothing any more.
        """
        left = cert.not_after - now
        if left > THRESHOLDS[0] * DAY or left < 0:
            return None
        crossed = min(days for days in THRESHOLDS if left <= days * DAY)
        before = self._warned.pop(cert.fingerprint, None)
        self._warned[cert.fingerprint] = crossed if before is None else min(before, crossed)
        if len(self._warned) > self._max:
            self._warned.popitem(last=False)
        return crossed if before is None or crossed < before else None
