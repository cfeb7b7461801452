"""Loosenings: what a configuration permits beyond the strict defaults, each said once when it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxy.decide.request.route import ClientCertificate
from proxy.snapshot.config import Config, HostConfig
from proxy.snapshot.document import Document
from proxy.snapshot.problems import KeyPath, Problem


def find_loosenings(document: Document, config: Config) -> Iterator[Problem]:
    """Yield a warning for each thing that a security engineer would ask about."""
    if config.admin.address is not None and not config.admin.address.is_loopback:
        message = f"{config.admin.address} is not on loopback, and the admin page asks nobody who they are"
        yield document.problem(("admin", "address"), message)
    for place, host in enumerate(config.hosts):
        yield from _of_host(document, host, ("hosts", place))
    routes = [route for host in config.hosts for route in host.routes]
    yield from _unused(document, "trust", config.trust, {route.trust for route in routes})
    yield from _unused(document, "upstreams", config.upstreams, {route.upstream for route in routes})


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
