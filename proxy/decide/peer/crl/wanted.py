"""Wanted: the CRLs that a verified certificate's distribution points lead to (RFC 5280, section 4.2.1.13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import Final

from cryptography import x509

from proxy.decide.facts import Certificate
from proxy.decide.peer.crl.settings import Revocation
from proxy.decide.peer.crl.verify import extension
from proxy.decide.peer.hosts import MAX_URLS, Hosts, place_of
from proxy.decide.peer.needs import CrlNeed
from proxy.decide.text import listed

MAX_POINTS: Final = 4
"""Distribution points that are followed: CAs write one, or one for each of a few groups of reasons."""


IN_USE: Final = 3600.0
"""Seconds after which a client's CRL is said to be in use again, so that others can be forgotten."""


class Wanted:
    """What has to be fetched for one chain's judgement at Unix time ``now``.

    ``needs`` are the CRLs to wait for, ``in_use`` those that were fetched for such a certificate before. ``until`` is
    when either is to be asked for again, in Unix seconds.
    """

    def __init__(self, bundle: str, revocation: Revocation, now: float) -> None:
        self.until = inf
        self._bundle = bundle
        self._revocation = revocation
        self._now = now
        self._needs: dict[bytes, CrlNeed] = {}
        self._in_use: dict[bytes, CrlNeed] = {}

    @property
    def settled(self) -> bool:
        """Whether there is nothing to wait for."""
        return not self._needs

    @property
    def needs(self) -> tuple[CrlNeed, ...]:
        """The CRLs to wait for."""
        return tuple(self._needs.values())

    @property
    def in_use(self) -> tuple[CrlNeed, ...]:
        """The CRLs that are there because of such certificates."""
        return tuple(self._in_use.values())

    def ask(self, cert: Certificate, above: tuple[Certificate, ...], depth: int) -> Iterator[str]:
        """Ask for the CRLs that a certificate names and that are not there; yield why others cannot be waited for.

        A CRL that is there, and did not help, is fetched again in its time, not because of a client.
        """
        hosts = self._revocation.cdp
        if hosts is None:
            return
        for need in self._of(cert, above, hosts, depth):
            failure = self._revocation.answers.find(need.key).failure
            if self._is_there(need):
                self._use(need)
            elif failure is None or failure.retry_at <= self._now:
                self._needs[need.key] = need
            else:
                self.until = min(self.until, failure.retry_at)
                yield f"{failure.source}: {failure.fault}: {failure.detail}"
        left_out = [url for urls in _points(cert) for url in urls if not hosts.allows(url)]
        if left_out:
            yield f"host-not-allowed: allow_hosts lacks those of its distribution points {listed(left_out)}"

    def use(self, cert: Certificate, above: tuple[Certificate, ...], depth: int) -> None:
        """Note that the CRLs that a certificate names are in use."""
        if self._revocation.cdp is not None:
            for need in self._of(cert, above, self._revocation.cdp, depth):
                if self._is_there(need):
                    self._use(need)

    def join(self, others: Iterable[Wanted]) -> None:
        """Ask for what others ask for, too: what stands in the way of CRLs that would help here."""
        for other in others:
            self._needs |= other._needs  # noqa: SLF001 - of the same class
            self.until = min(self.until, other.until)

    def _of(self, cert: Certificate, above: tuple[Certificate, ...], hosts: Hosts, depth: int) -> Iterator[CrlNeed]:
        """Yield a need for each distribution point; its addresses of allowed hosts are alternatives."""
        issuers = tuple(issuer.der for issuer in above)
        for urls in _points(cert):
            allowed = tuple(filter(hosts.allows, urls))[:MAX_URLS]
            if allowed:
                yield CrlNeed(self._bundle, allowed, cert.fingerprint, depth, issuers)

    def _is_there(self, need: CrlNeed) -> bool:
        return not self._revocation.crls.sources.isdisjoint(need.urls)

    def _use(self, need: CrlNeed) -> None:
        self._in_use[need.key] = need
        self.until = min(self.until, self._now + IN_USE)


def _points(cert: Certificate) -> Iterator[tuple[str, ...]]:
    """Yield the http(s) addresses of each distribution point."""
    points = extension(cert, x509.CRLDistributionPoints)
    for point in list(points or ())[:MAX_POINTS]:
        names = (name.value for name in point.full_name or () if isinstance(name, x509.UniformResourceIdentifier))
        urls = tuple(dict.fromkeys(url for url in names if place_of(url) is not None))
        if urls:
            yield urls
