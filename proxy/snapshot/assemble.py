"""Assemble: a snapshot out of plain values, in steps that are short, reusing what has not changed.

Parsed certificates, TLS contexts, gates and hosts of the last generation are found by what they were made of: a new
CRL makes one bundle and its gates anew, and no TLS context at all.
"""

from __future__ import annotations

import pickle
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from cryptography.hazmat.primitives.serialization import load_der_private_key
from OpenSSL import SSL

from proxy.decide.facts import Certificate, read_certificate
from proxy.decide.peer.answers import Answers
from proxy.decide.peer.chain import Bundle
from proxy.decide.peer.crl.facts import Crl
from proxy.decide.peer.gate import Gate
from proxy.decide.peer.policy.rule import Rule
from proxy.decide.peer.windows import Window
from proxy.decide.request.route import Host, HostTable, Route
from proxy.snapshot.config import Config, RouteConfig
from proxy.snapshot.credentials import distinct
from proxy.snapshot.crls import CrlFile, assemble_revocation, open_file
from proxy.snapshot.fields import Frozen
from proxy.snapshot.model import Snapshot, Upstream
from proxy.snapshot.prepared import Prepared, PreparedBundle, PreparedHost
from proxy.snapshot.tls import HostContext, build_context

_T = TypeVar("_T")

Steps = Generator[None, None, _T]
"""Work in short steps: each ``next`` does one, and the return value is what they come to."""


class Course(Generic[_T]):
    """Steps for a loop, which does one with each turn; after the last, ``result`` is what they came to."""

    result: _T

    def __init__(self, steps: Steps[_T]) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[None]:
        self.result = yield from self._steps


def at_once(steps: Steps[_T]) -> _T:
    """Do all steps, and return what they come to."""
    course = Course(steps)
    for _ in course:
        pass
    return course.result


@dataclass(slots=True, eq=False)
class _Parts:
    """What a generation was made of, by content. ``hosts`` and ``bundles`` are by their packed form."""

    certificates: dict[bytes, Certificate] = field(default_factory=dict)
    crls: dict[CrlFile, Crl] = field(default_factory=dict)
    bundles: dict[bytes, tuple[PreparedBundle, Bundle]] = field(default_factory=dict)
    gates: dict[tuple[Bundle, tuple[Rule, ...]], Gate] = field(default_factory=dict)
    hosts: dict[bytes, tuple[PreparedHost, Host]] = field(default_factory=dict)
    contexts: dict[tuple[object, ...], HostContext] = field(default_factory=dict)

    def tables(self) -> Iterator[dict[Any, Any]]:
        """Yield what holds the parts, first what is made of others."""
        yield from (self.contexts, self.hosts, self.gates, self.bundles, self.crls, self.certificates)


class Assembler:
    """Makes the snapshots of one process, one after the other. ``answers`` is kept from each to the next."""

    def __init__(self, answers: Answers | None = None) -> None:
        self.answers = Answers() if answers is None else answers
        self._last = _Parts()
        self._gone: list[_Parts] = []

    def assemble(self, prepared: Prepared, generation: int) -> Steps[Snapshot]:
        """Make the snapshot of ``generation``. Raises CrlIndexError where an index file has gone since.

        A caller that does not want the result any more drops the generator: nothing has changed then.
        """
        work = _Work(self._last, self.answers)
        bundles = yield from work.bundles(prepared.bundles)
        hosts = yield from work.hosts(prepared.hosts, bundles)
        yield
        table = HostTable(tuple(hosts))
        yield
        config = _config(prepared.frame, work.parts, prepared)
        yield
        snapshot = Snapshot(
            generation=generation,
            config=config,
            hosts=table,
            contexts=MappingProxyType(work.contexts),
            certificates=MappingProxyType(work.chains),
            bundles=MappingProxyType(bundles),
            upstreams=MappingProxyType(_upstreams(prepared.frame)),
            warnings=prepared.warnings,
            files=tuple(map(Path, prepared.files)),
        )
        self._gone.append(self._last)
        self._last = work.parts
        return snapshot

    def dismantle(self) -> Steps[None]:
        """Let go of what earlier generations were made of, part by part: to free a thousand TLS contexts takes a while.

        For after the swap; what the generation in force, or a connection, still uses stays.
        """
        while self._gone:
            for table in self._gone.pop().tables():
                while table:
                    table.popitem()
                    yield


class _Work:
    """One assembly: takes from the ``last`` generation what it can, and notes all parts for the next one."""

    def __init__(self, last: _Parts, answers: Answers) -> None:
        self.parts = _Parts()
        self.contexts: dict[Host, HostContext] = {}
        self.chains: dict[Host, tuple[Certificate, ...]] = {}
        self._last = last
        self._answers = answers

    def bundles(self, packed: Iterable[bytes]) -> Steps[dict[str, Bundle]]:
        """Make the bundles."""
        bundles: dict[str, Bundle] = {}
        for octets in packed:
            known = self._last.bundles.get(octets)
            prepared = known[0] if known is not None else pickle.loads(octets)  # noqa: S301 - packed by this program
            yield from self._parse(prepared)
            bundle = known[1] if known is not None else self._bundle(prepared)
            self.parts.bundles[octets] = prepared, bundle
            bundles[bundle.name] = bundle
            yield
        return bundles

    def _parse(self, prepared: PreparedBundle) -> Steps[None]:
        """Parse certificates and open CRLs one by one: there may be thousands."""
        for der in prepared.anchors:
            self._certificate(der)
            yield
        for file in prepared.revocation.every if prepared.revocation is not None else ():
            crl = self._last.crls.get(file)
            self.parts.crls[file] = open_file(file) if crl is None else crl
            yield

    def _bundle(self, prepared: PreparedBundle) -> Bundle:
        revocation = assemble_revocation(prepared.revocation, self._answers, self.parts.crls.__getitem__)
        anchors = tuple(map(self._certificate, prepared.anchors))
        windows = MappingProxyType(dict(prepared.windows))
        return Bundle(prepared.name, anchors, prepared.config.require_eku, revocation, windows)

    def hosts(self, packed: Iterable[bytes], bundles: dict[str, Bundle]) -> Steps[list[Host]]:
        """Make the hosts with their TLS contexts."""
        hosts: list[Host] = []
        for octets in packed:
            known = self._last.hosts.get(octets)
            prepared = known[0] if known is not None else pickle.loads(octets)  # noqa: S301 - packed by this program
            host = self._host(prepared, bundles, None if known is None else known[1])
            self.parts.hosts[octets] = prepared, host
            self.chains[host] = tuple(map(self._certificate, prepared.chain))
            self.contexts[host] = self._context(prepared, host)
            hosts.append(host)
            yield
        return hosts

    def _host(self, prepared: PreparedHost, bundles: dict[str, Bundle], known: Host | None) -> Host:
        """Keep a host whose routes and gates are the same; routes with the same bundle and rules share a gate."""
        config = prepared.config
        gates = [self._gate(route, bundles) for route in config.routes]
        if known is not None and [route.gate for route in known.routes] == gates:
            return known
        routes = (_route(route, gate) for route, gate in zip(config.routes, gates, strict=True))
        return Host(config.names, tuple(routes), config.default)

    def _gate(self, route: RouteConfig, bundles: dict[str, Bundle]) -> Gate | None:
        if route.trust is None:
            return None
        key = (bundles[route.trust], route.policy)
        gate = self.parts.gates.get(key)
        if gate is None:
            gate = self.parts.gates[key] = self._last.gates.get(key) or Gate(*key)
        return gate

    def _context(self, prepared: PreparedHost, host: Host) -> HostContext:
        """Make a TLS context, or share that of a host with the same certificate and anchors."""
        bundles = tuple(dict.fromkeys(gate.bundle for gate in host.gates))
        anchors = distinct(anchor for bundle in bundles for anchor in bundle.anchors)
        windows = tuple(tuple(bundle.windows.get(anchor.fingerprint) for bundle in bundles if anchor in bundle.anchors)
                        for anchor in anchors)  # fmt: skip
        key = (prepared.key, *prepared.chain, b"", *(anchor.der for anchor in anchors), windows)
        context = self.parts.contexts.get(key) or self._last.contexts.get(key)
        if context is None:
            anchored = tuple(zip(anchors, windows, strict=True))
            context = _host_context(host.name, self.chains[host], prepared.key, anchored)
        self.parts.contexts[key] = context
        return context

    def _certificate(self, der: bytes) -> Certificate:
        cert = self.parts.certificates.get(der)
        if cert is None:
            cert = self.parts.certificates[der] = self._last.certificates.get(der) or read_certificate(der)
        return cert


def _host_context(
    name: str, chain: tuple[Certificate, ...], key: bytes,
    anchors: tuple[tuple[Certificate, tuple[Window | None, ...]], ...],
) -> HostContext:  # fmt: skip
    """Make a host's context; each anchor comes with its windows in the bundles that name it, None for always."""
    private = load_der_private_key(key, password=None, unsafe_skip_rsa_key_validation=True)

    def build(now: float) -> SSL.Context:
        counting = (anchor for anchor, windows in anchors if any(w is None or w.holds(now) for w in windows))
        return build_context(name, chain, private, tuple(counting))

    return HostContext(build, [window for _, windows in anchors for window in windows if window is not None])


def _config(frame: Config, parts: _Parts, prepared: Prepared) -> Config:
    hosts = tuple(parts.hosts[octets][0].config for octets in prepared.hosts)
    trust = {bundle.name: bundle.config for bundle, _ in (parts.bundles[octets] for octets in prepared.bundles)}
    return frame.model_copy(update={"hosts": hosts, "trust": Frozen(trust)})


def _route(config: RouteConfig, gate: Gate | None) -> Route:
    return Route(
        path=config.path,
        client_certificate=config.client_certificate,
        gate=gate,
        upstream=config.upstream,
        families=config.identity_headers,
        max_body=config.max_body,
        on_withdrawal=config.on_withdrawal,
    )


def _upstreams(config: Config) -> dict[str, Upstream]:
    return {
        name: Upstream(name, upstream.servers, upstream.max_idle, upstream.idle_timeout, upstream.max_connections)
        for name, upstream in config.upstreams.items()
    }
