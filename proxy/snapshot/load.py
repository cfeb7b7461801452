"""Load: a configuration file and everything that it names, read and checked, to one frozen snapshot.

All is read and checked before anything is made of it; any problem refuses the whole. Nothing here waits for a
network or touches an event loop, so that a running proxy can load in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from OpenSSL import SSL, crypto

from proxy.decide.peer.chain import Bundle
from proxy.decide.peer.gate import Gate
from proxy.decide.peer.policy.rule import Rule
from proxy.decide.request.route import Host, HostTable, Route
from proxy.snapshot.cache_choice import Places, choose_cache
from proxy.snapshot.config import Config, HostConfig, RouteConfig
from proxy.snapshot.credentials import distinct
from proxy.snapshot.document import MAX_FILE, Document, parse
from proxy.snapshot.files import FileError, read
from proxy.snapshot.loosenings import find_loosenings
from proxy.snapshot.material import Credential, Material
from proxy.snapshot.model import Snapshot, Upstream
from proxy.snapshot.problems import ConfigError, KeyPath, Problem
from proxy.snapshot.references import check_references
from proxy.snapshot.tls import build_context
from proxy.snapshot.translate import read_config


def load(path: Path, generation: int, now: float, places: Places | None = None) -> Snapshot:
    """Load the configuration at ``path`` as of Unix time ``now``; ``generation`` numbers the snapshot.

    ``places`` are where its cache can be; None keeps nothing.
    Raises ConfigError with every problem found.
    """
    document, config = _configuration(path)
    material = Material(document, now)
    material.cache = choose_cache(config, places, material)
    bundles = {name: material.bundle(name, trust) for name, trust in config.trust.items()}
    credentials = [material.credential(host, ("hosts", place)) for place, host in enumerate(config.hosts)]
    good = _Good(
        {name: bundle for name, bundle in bundles.items() if bundle is not None},
        tuple(credential for credential in credentials if credential is not None),
    )
    if material.problems:
        raise ConfigError(material.problems)
    warnings = [*find_loosenings(document, config), *material.warnings]
    hosts = _hosts(config, good.bundles)
    return Snapshot(
        generation=generation,
        config=config,
        hosts=HostTable(hosts),
        contexts=MappingProxyType(_contexts(document, hosts, good.credentials)),
        certificates=MappingProxyType(dict(zip(hosts, (c.chain for c in good.credentials), strict=True))),
        bundles=MappingProxyType(good.bundles),
        upstreams=MappingProxyType(_upstreams(config)),
        warnings=tuple(map(str, sorted(warnings, key=lambda warning: warning.line or 0))),
        files=tuple(dict.fromkeys(material.files)),
    )


@dataclass(frozen=True, slots=True)
class _Good:
    """What was read without a problem; with no problem at all, it is everything."""

    bundles: dict[str, Bundle]
    credentials: tuple[Credential, ...]


def _configuration(path: Path) -> tuple[Document, Config]:
    try:
        document = parse(read(path, MAX_FILE).data, path)
    except FileError as fault:
        raise ConfigError([Problem(path, None, "", fault.words)]) from fault
    config, problems = read_config(document)
    problems.extend(check_references(document))
    if config is None or problems:
        raise ConfigError(problems)
    return document, config


def _hosts(config: Config, bundles: Mapping[str, Bundle]) -> tuple[Host, ...]:
    """Make the hosts; routes with the same bundle and the same rules share a gate, and so its cached verdicts."""
    gates: dict[tuple[str, tuple[Rule, ...]], Gate] = {}

    def gate(route: RouteConfig) -> Gate | None:
        if route.trust is None:
            return None
        return gates.setdefault((route.trust, route.policy), Gate(bundles[route.trust], route.policy))

    def make(host: HostConfig) -> Host:
        return Host(host.names, tuple(_route(route, gate(route)) for route in host.routes), host.default)

    return tuple(map(make, config.hosts))


def _route(config: RouteConfig, gate: Gate | None) -> Route:
    return Route(
        path=config.path,
        client_certificate=config.client_certificate,
        gate=gate,
        upstream=config.upstream,
        families=config.identity_headers,
        max_body=config.max_body,
    )


def _contexts(
    document: Document, hosts: tuple[Host, ...], credentials: tuple[Credential, ...]
) -> dict[Host, SSL.Context]:
    contexts: dict[Host, SSL.Context] = {}
    problems: list[Problem] = []
    for place, (host, credential) in enumerate(zip(hosts, credentials, strict=True)):
        anchors = distinct(anchor for gate in host.gates for anchor in gate.bundle.anchors)
        at: KeyPath = ("hosts", place, "certificate")
        try:
            contexts[host] = build_context(host, credential.chain, credential.key, anchors)
        except (ValueError, crypto.Error) as fault:
            problems.append(document.problem(at, str(fault) or "OpenSSL refuses the certificate or an anchor"))
    if problems:
        raise ConfigError(problems)
    return contexts


def _upstreams(config: Config) -> dict[str, Upstream]:
    return {
        name: Upstream(name, upstream.servers, upstream.max_idle, upstream.idle_timeout, upstream.max_connections)
        for name, upstream in config.upstreams.items()
    }
