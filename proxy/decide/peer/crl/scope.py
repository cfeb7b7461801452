"""Scope: which CRLs speak of a certificate, and of which reasons (RFC 5280, section 6.3.3, steps b to e)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509

from proxy.decide.facts import Certificate
from proxy.decide.peer.crl.facts import ALL_REASONS, Crl, Scope
from proxy.decide.peer.crl.names import GeneralNameKey, NameKey, directory_key, name_key, point_names
from proxy.decide.peer.crl.verify import extension


@dataclass(frozen=True, slots=True)
class Point:
    """A distribution point of a certificate: its names, the reasons of its CRLs, and who issues them.

    ``names`` is None where it has none. ``issuers`` is empty where the certificate's own issuer issues the CRLs.
    """

    names: frozenset[GeneralNameKey] | None
    reasons: frozenset[x509.ReasonFlags]
    issuers: frozenset[NameKey]


def points_of(cert: Certificate) -> tuple[Point, ...]:
    """Return a certificate's distribution points, and last the one that is assumed: its issuer's name."""
    issuer = name_key(cert.x509.issuer)
    points = extension(cert, x509.CRLDistributionPoints)
    listed = () if points is None else tuple(_point(point, issuer) for point in points if _is_usable(point))
    return (*listed, Point(frozenset({directory_key(issuer)}), ALL_REASONS, frozenset()))


def _is_usable(point: x509.DistributionPoint) -> bool:
    """Tell whether a point's CRL issuer, if it has one, has a distinguished name, as the issuer of a CRL has."""
    return point.crl_issuer is None or any(isinstance(name, x509.DirectoryName) for name in point.crl_issuer)


def _point(point: x509.DistributionPoint, issuer: NameKey) -> Point:
    issuers = frozenset(
        name_key(name.value) for name in point.crl_issuer or () if isinstance(name, x509.DirectoryName)
    )
    above = next(iter(issuers)) if len(issuers) == 1 else issuer
    reasons = ALL_REASONS if point.reasons is None else ALL_REASONS & point.reasons
    return Point(point_names(point.full_name, point.relative_name, above), reasons, issuers)


def covered(crl: Crl, cert: Certificate, points: tuple[Point, ...]) -> frozenset[x509.ReasonFlags]:
    """Return the reasons for which ``crl`` speaks of ``cert`` at any of its distribution points; empty if it does not.

    The CRL's signature is another question.
    """
    if not _kind_fits(crl.scope, cert):
        return frozenset()
    issuer = name_key(cert.x509.issuer)
    return frozenset().union(*(point.reasons & crl.scope.reasons for point in _fitting(crl, points, issuer)))


def _kind_fits(scope: Scope, cert: Certificate) -> bool:
    """Look at who the CRL is about: step b2, ii to iv."""
    return not (scope.only_attributes or (scope.only_users and cert.is_ca) or (scope.only_cas and not cert.is_ca))


def _fitting(crl: Crl, points: tuple[Point, ...], issuer: NameKey) -> Iterator[Point]:
    """Yield the points whose CRLs this could be one of: steps b1 and b2, i."""
    for point in points:
        indirect = crl.scope.indirect and crl.issuer_key in point.issuers
        if (indirect if point.issuers else crl.issuer_key == issuer) and _names_fit(crl.scope, point):
            yield point


def _names_fit(scope: Scope, point: Point) -> bool:
    if scope.names is None:
        return True
    names = frozenset(map(directory_key, point.issuers)) if point.names is None else point.names
    return not scope.names.isdisjoint(names)
