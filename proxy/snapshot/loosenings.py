"""Loosenings: what a configuration permits beyond the strict defaults, each said once when it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from proxy.decide.peer.depth import Check
from proxy.decide.peer.ocsp.settings import Mode
from proxy.decide.request.route import ClientCertificate
from proxy.snapshot.config import Config, HostConfig
from proxy.snapshot.config_trust import CrlConfig, OcspConfig, RevocationConfig
from proxy.snapshot.document import Document
from proxy.snapshot.problems import KeyPath, Problem


def find_loosenings(document: Document, config: Config) -> Iterator[Problem]:
    """Yield a warning for each thing that a security engineer would ask about."""
    if config.admin.address is not None and not config.admin.address.is_loopback:
        message = f"{config.admin.address} is not on loopback, and the admin page asks nobody who they are"
        yield document.problem(("admin", "address"), message)
    for name, trust in config.trust.items():
        if trust.revocation is not None:
            yield from _of_revocation(document, trust.revocation, ("trust", name, "revocation"))
    for place, host in enumerate(config.hosts):
        yield from _of_host(document, host, ("hosts", place))
    routes = [route for host in config.hosts for route in host.routes]
    yield from _unused(document, "trust", config.trust, {route.trust for route in routes})
    yield from _unused(document, "upstreams", config.upstreams, {route.upstream for route in routes})


def _of_revocation(document: Document, revocation: RevocationConfig, at: KeyPath) -> Iterator[Problem]:
    if revocation.check is Check.NONE:
        yield document.problem((*at, "check"), "revoked certificates are admitted (check: none)")
        return
    if revocation.check is Check.LEAF:
        yield document.problem((*at, "check"), "clients of a revoked intermediate are admitted (check: leaf)")
    if revocation.crl is not None:
        yield from _of_crl(document, revocation.crl, (*at, "crl"))
    if revocation.ocsp is not None:
        yield from _of_ocsp(document, revocation.ocsp, revocation.check, (*at, "ocsp"))


def _of_crl(document: Document, crl: CrlConfig, at: KeyPath) -> Iterator[Problem]:
    if crl.when_stale:
        how_long = "however old it is" if crl.when_stale == inf else f"for {crl.when_stale:.0f} s"
        yield document.problem((*at, "when_stale"), f"a CRL counts beyond its nextUpdate, {how_long}")
    if crl.when_missing == "allow":
        message = "certificates that no CRL speaks of are admitted (when_missing: allow)"
        yield document.problem((*at, "when_missing"), message)


def _of_ocsp(document: Document, ocsp: OcspConfig, check: Check, at: KeyPath) -> Iterator[Problem]:
    if ocsp.mode is Mode.SOFT:
        message = "a client that no OCSP responder speaks of is admitted (mode: soft), also a revoked one"
        yield document.problem((*at, "mode"), message)
    if ocsp.mode is not Mode.OFF and ocsp.check in (Check.LEAF, Check.NONE) and ocsp.check is not check:
        message = f"no responder is asked about intermediates (check: {ocsp.check})"
        yield document.problem((*at, "check"), message)


def _of_host(document: Document, host: HostConfig, at: KeyPath) -> Iterator[Problem]:
    if host.default:
        message = f"clients whose SNI is missing or unknown reach {host.names[0]}"
        yield document.problem((*at, "default"), message)
    for place, route in enumerate(host.routes):
        if route.client_certificate is not ClientCertificate.REQUIRED:
            who = "anybody" if route.client_certificate is ClientCertificate.NONE else "a client without a certificate"
            message = f"{who} reaches {host.names[0]}{route.path} (client_certificate: {route.client_certificate})"
            yield document.problem((*at, "routes", place, "client_certificate"), message)


def _unused(
    document: Document, table: str, known: Mapping[str, object], used: set[str | None] | set[str]
) -> Iterator[Problem]:
    for name in known:
        if name not in used:
            yield document.problem((table, name), "no route uses it")
