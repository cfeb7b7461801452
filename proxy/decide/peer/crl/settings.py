"""Settings: what a bundle asks of revocation, by CRLs and by OCSP, and what it has to judge it by."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.decide.facts import Certificate
from proxy.decide.peer.answers import Answers
from proxy.decide.peer.crl.store import CrlStore
from proxy.decide.peer.depth import Check
from proxy.decide.peer.hosts import Hosts
from proxy.decide.peer.ocsp.settings import Ocsp


@dataclass(frozen=True, slots=True, eq=False)
class Revocation:
    """How a bundle's chains are checked: against its CRLs, by its responders, or both.

    ``issuers`` are certificates that may have signed CRLs and that clients do not send. ``grace`` is how long in
    seconds a CRL still counts after its nextUpdate: 0 refuses at once, infinity never does. ``allow_missing``
    admits a certificate that no CRL speaks of. ``answers`` is what came back for the needs of verdicts, shared by all
    bundles of the process and kept over reloads. ``asks_crls`` is whether CRLs are asked at all, ``ocsp`` how
    responders are, None: not at all. ``cdp`` are the hosts that certificates may send us to for their CRLs, None where
    certificates have no say in it.
    """

    check: Check
    crls: CrlStore
    issuers: tuple[Certificate, ...] = ()
    grace: float = 0.0
    allow_missing: bool = False
    answers: Answers = field(default_factory=Answers)
    asks_crls: bool = True
    ocsp: Ocsp | None = None
    cdp: Hosts | None = None

    def __str__(self) -> str:
        """Say what is checked and which way the defaults fall, as the configuration does."""
        asked = [f"check {self.check}, {self._crls()}" if self.asks_crls else f"check {self.check}"]
        if self.ocsp is not None:
            asked.append(str(self.ocsp))
        return "; ".join(asked)

    def _crls(self) -> str:
        stale = {0.0: "deny", float("inf"): "allow"}.get(self.grace, f"{self.grace:.0f} s of grace")
        missing = "allow" if self.allow_missing else "deny"
        count = f"{len(self.crls)} CRL{'s' * (len(self.crls) != 1)}"
        if self.cdp is not None:
            count += f", distribution points at {self.cdp}"
        return f"{count}; when stale: {stale}; when missing: {missing}"
