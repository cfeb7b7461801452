"""What the log says of handshakes: who got in, who did not and why, and whose certificate is about to end."""

from __future__ import annotations

from math import floor
from time import monotonic
from typing import Final

from proxy.accept.arrival import Arrival
from proxy.decide.bounded import put
from proxy.decide.facts import Certificate
from proxy.decide.peer.ocsp.evidence import OcspEvidence
from proxy.decide.verdict import Admitted, Refused
from proxy.life import peer_text
from proxy.observe.escape import Escaped, escaped
from proxy.observe.expiry import DAY, ExpiryWatch
from proxy.observe.fields import anchor_fields, certificate_fields, revocation_fields
from proxy.observe.log import Log, members

MAX_SHOWN: Final = 1_000
"""Certificates whose log fields are kept: as many as have a time series of their own in the metrics."""

MAX_COMMON: Final = 20_000
"""Clients for whom what their lines have in common is kept encoded, 1 KB each: as many as are kept parsed."""

_NOBODY: Final = (None, b"")


class HandshakeLines:
    """Writes to ``log``. ``now`` is in Unix seconds, ``conn`` the name of the connection."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._expiry = ExpiryWatch()
        self._shown: dict[tuple[str, int], Escaped] = {}
        self._known: dict[tuple[object, ...], tuple[Admitted | None, bytes]] = {}

    def refused(self, arrival: Arrival, refusal: Refused, conn: str, generation: int, now: float) -> None:
        """Say who was refused, where and why, and show the certificate."""
        handshake = arrival.handshake
        leaf = handshake.leaf
        who = leaf.fingerprint if leaf is not None else arrival.address[0]
        self._log.refuse(
            "handshake.refused",
            same=("handshake", refusal.reason, handshake.shown_sni, who),
            reason=refusal.reason.value,
            detail=refusal.detail,
            depth=refusal.depth,
            conn=conn,
            peer=peer_text(arrival.address),
            sni=handshake.shown_sni,
            host=_host(arrival),
            generation=generation,
            ms=_ms(arrival),
            waited_ms=arrival.waited_ms(),
            **arrival.agreed(),
            certificate=self.certificate(leaf, now),
            revocation=revocation_fields(refusal.revocation, now),
        )

    def accepted(self, arrival: Arrival, verdict: Admitted, conn: str, generation: int, now: float) -> None:
        """Say who was let in, and by what evidence."""
        self._log.write_known(
            "handshake.accepted",
            self._common(arrival, verdict, generation, now),
            conn=conn,
            peer=peer_text(arrival.address),
            ms=_ms(arrival),
            waited_ms=arrival.waited_ms(),
            revocation=revocation_fields(verdict.revocation, now) if _ages(verdict) else None,
        )

    def expiring(self, leaf: Certificate, host: str, now: float) -> None:
        """Warn of a client certificate that is about to expire: nobody else does (ACM renews no imported ones)."""
        days = self._expiry.due(leaf, now)
        if days is not None:
            fields = certificate_fields(leaf, now)
            self._log.write("certificate.expiring", level="warning", within_days=days, host=host, certificate=fields)

    def certificate(self, leaf: Certificate | None, now: float) -> dict[str, object] | None:
        """Return what a line shows of a certificate, made once a day for each."""
        if leaf is None:
            return None
        key = (leaf.fingerprint, _days(leaf, now))
        shown = self._shown.get(key)
        if shown is None:
            shown = escaped(certificate_fields(leaf, now))
            put(self._shown, key, shown, MAX_SHOWN)
        return shown

    def _common(self, arrival: Arrival, verdict: Admitted, generation: int, now: float) -> bytes:
        """Return what the lines of one client's handshakes have in common, encoded once a day for each."""
        session, handshake = arrival.session, arrival.handshake
        leaf, sni, host = handshake.leaf, handshake.shown_sni, _host(arrival)
        agreed = (session.version, session.cipher, session.group)
        key = (id(verdict), sni, host, agreed, generation, None if leaf is None else _days(leaf, now))
        verdict_, known = self._known.get(key, _NOBODY)
        if verdict_ is not verdict:  # another may have had its place in memory
            tls, cipher, group = agreed
            known = members(
                sni=sni, host=host, tls=tls, cipher=cipher, group=group, generation=generation,
                certificate=self.certificate(leaf, now), anchor=anchor_fields(verdict.identity),
                revocation=None if _ages(verdict) else revocation_fields(verdict.revocation, now),
            )  # fmt: skip
            put(self._known, key, (verdict, known), MAX_COMMON)
        return known


def _ages(verdict: Admitted) -> bool:
    """Tell whether what is shown of the evidence changes from second to second, as an answer's age does."""
    return any(isinstance(one, OcspEvidence) for one in verdict.revocation)


def _host(arrival: Arrival) -> str | None:
    host = arrival.handshake.host
    return None if host is None else host.name


def _days(leaf: Certificate, now: float) -> int:
    return floor((leaf.not_after - now) / DAY)


def _ms(arrival: Arrival) -> float:
    return round((monotonic() - arrival.started) * 1000, 2)
