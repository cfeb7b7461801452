"""Metrics: plain integers that the data path increments, and what a snapshot says of itself.

Everything here belongs to the loop's thread, so an increment is an addition and no lock. ``exposition`` turns it into
text when someone asks. Label values come from the configuration and from closed lists, never from a stranger's
request; the one table that clients can fill, that of their certificates, is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final

from proxy.decide.facts import Certificate
from proxy.decide.verdict import Identity, Reason
from proxy.observe.counters import AnchorUse, Histogram, RouteMetrics, UpstreamMetrics
from proxy.observe.ocsp import OcspMetrics
from proxy.snapshot.assemble import Steps, at_once

if TYPE_CHECKING:
    from proxy.decide.request.route import Route
    from proxy.snapshot.model import Snapshot

HANDSHAKE_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. From a neighbour's round trip up to the default limit of a handshake."""

MAX_CLIENT_CERTIFICATES: Final = 1_000
"""Presented certificates with a time series of their own; the one seen longest ago makes room for a new one."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a certificate ends, in Unix seconds, and the labels that it is shown with."""

    labels: tuple[str, ...]
    not_after: float


FETCH_OUTCOMES: Final = ("updated", "unchanged", "refused", "failed")
"""How an attempt to fetch a CRL ends."""


@dataclass(frozen=True, slots=True)
class CrlGauges:
    """The CRLs of one bundle, issuer and source: the first nextUpdate in Unix seconds, and all their entries."""

    labels: tuple[str, ...]
    next_update: float
    entries: int


RELOAD_RESULTS: Final = ("done", "unchanged", "failed", "refused")
"""How a reload can end."""


@dataclass(slots=True)
class CrlFetches:
    """The attempts at one source of CRLs: by how they ended, how many failed since the last good one, and when it was.

    ``succeeded_at`` is a Unix time in seconds, 0 where there was none.
    """

    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FETCH_OUTCOMES, 0))
    failures: int = 0
    succeeded_at: float = 0.0


@dataclass(slots=True)
class Metrics:
    """All counters of the process. ``log_dropped`` returns the lines that the log could not take.

    ``last_reload_success`` is the Unix time of the start, or of the last reload that left no problem.
    """

    log_dropped: Callable[[], int] = lambda: 0
    connections_open: int = 0
    connections_total: int = 0
    handshakes_in_progress: int = 0
    internal_errors: int = 0
    worker_deaths: int = 0
    verdicts_awaited: int = 0
    generation: int = 0
    last_reload_successful: bool = True
    last_reload_success: float = 0.0
    reloads: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RELOAD_RESULTS, 0))
    handshakes: dict[tuple[str, str], int] = field(default_factory=dict)
    handshakes_refused: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    handshake_seconds: Histogram = field(default_factory=lambda: Histogram(HANDSHAKE_BOUNDS))
    requests_refused: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    withdrawn: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    routes: dict[tuple[str, str], RouteMetrics] = field(default_factory=dict)
    upstreams: dict[str, UpstreamMetrics] = field(default_factory=dict)
    server_certificates: tuple[Expiry, ...] = ()
    anchors: tuple[Expiry, ...] = ()
    anchor_windows: tuple[Expiry, ...] = ()
    anchor_uses: dict[tuple[str, str], AnchorUse] = field(default_factory=dict)
    crls: tuple[CrlGauges, ...] = ()
    ocsp: OcspMetrics = field(default_factory=OcspMetrics)
    crl_fetches: dict[tuple[str, str], CrlFetches] = field(default_factory=dict)
    client_certificates: OrderedDict[str, Expiry] = field(default_factory=OrderedDict)
    _warnings: tuple[str, ...] = ()
    _loosened: set[str] = field(default_factory=set)

    def handshake_accepted(self, host: str, seconds: float) -> None:
        """Count a handshake with ``host``, by its name in the configuration, that took ``seconds``."""
        self._count_handshake(host, "accepted")
        self.handshake_seconds.observe(seconds)

    def handshake_refused(self, reason: Reason, host: str = "") -> None:
        """Count a refused handshake; ``host`` is the configured one that was asked for, empty where there was none."""
        self._count_handshake(host, "refused")
        self.handshakes_refused[reason] += 1

    def _count_handshake(self, host: str, result: str) -> None:
        key = (host, result)
        self.handshakes[key] = self.handshakes.get(key, 0) + 1

    def request_refused(self, reason: Reason) -> None:
        """Count a refused request."""
        self.requests_refused[reason] += 1

    def route(self, host: str, path: str) -> RouteMetrics:
        """Return the counters of a route, the same object for the same labels, also across snapshots."""
        found = self.routes.get((host, path))
        if found is None:
            found = self.routes[host, path] = RouteMetrics()
        return found

    def upstream(self, name: str) -> UpstreamMetrics:
        """Return the counters of an upstream, the same object for the same name, also across snapshots."""
        found = self.upstreams.get(name)
        if found is None:
            found = self.upstreams[name] = UpstreamMetrics()
        return found

    def crl_source(self, bundle: str, source: str) -> CrlFetches:
        """Return the counters of an address that a bundle fetches a CRL from."""
        return self.crl_fetches.setdefault((bundle, source), CrlFetches())

    def forget_crl_source(self, bundle: str, source: str) -> None:
        """Show an address no more."""
        self.crl_fetches.pop((bundle, source), None)

    def anchor_use(self, identity: Identity) -> AnchorUse:
        """Return when the anchor that ``identity`` rests on was last used, to be noted there."""
        key = (identity.bundle, identity.anchor.fingerprint)
        found = self.anchor_uses.get(key)
        if found is None:
            found = self.anchor_uses[key] = AnchorUse()
        return found

    def client_certificate(self, cert: Certificate) -> None:
        """Note an accepted client certificate, whose end is then shown."""
        table = self.client_certificates
        if cert.fingerprint in table:
            table.move_to_end(cert.fingerprint)
            return
        table[cert.fingerprint] = Expiry((cert.fingerprint, cert.subject), cert.not_after)
        if len(table) > MAX_CLIENT_CERTIFICATES:
            table.popitem(last=False)

    def loosened(self, text: str) -> None:
        """Count a loosening that is no part of the configuration; the same text counts once."""
        self._loosened.add(text)

    @property
    def config_warnings(self) -> int:
        """The number of warnings in force: those of the snapshot, and what was loosened beside it."""
        return len(self._loosened.union(self._warnings))

    def describe(self, snapshot: Snapshot) -> None:
        """Show ``snapshot``: its generation, warnings and certificates, and every route and upstream from zero on.

        What was there before counts on. What is gone is shown no more, or a site that changes its routes would fill the
        page; requests that are still under way there count into what nobody sees.
        """
        self.show(at_once(self.description(snapshot)))

    def description(self, snapshot: Snapshot) -> Steps[Description]:
        """Collect what ``show`` shows of a snapshot, host by host: there may be thousands."""
        counters: dict[Route, RouteMetrics] = {}
        routes: dict[tuple[str, str], RouteMetrics] = {}
        certificates: list[Expiry] = []
        for host, chain in snapshot.certificates.items():
            for route in host.routes:
                counters[route] = routes[host.name, route.path] = self.route(host.name, route.path)
            certificates.extend(Expiry((host.name, leaf.fingerprint), leaf.not_after) for leaf in chain[:1])
            yield
        anchors = yield from _anchors(snapshot)
        return Description(snapshot, counters, routes, tuple(certificates), anchors, _crls(snapshot))

    def show(self, description: Description) -> None:
        """Show a snapshot."""
        snapshot = description.snapshot
        self.generation = snapshot.generation
        self._warnings = snapshot.warnings
        self.server_certificates = description.server_certificates
        self.anchors = description.anchors
        self.anchor_windows = _anchor_windows(snapshot)
        keys = [(anchor.labels[0], anchor.labels[1]) for anchor in self.anchors]
        self.anchor_uses = {key: self.anchor_uses.get(key) or AnchorUse() for key in keys}
        self.crls = description.crls
        results = [(host.name, result) for host in snapshot.hosts.hosts for result in ("accepted", "refused")]
        nowhere = [key for key in self.handshakes if not key[0]]
        self.handshakes = {key: self.handshakes.get(key, 0) for key in (*nowhere, *results)}
        self.routes = description.routes
        self.upstreams = {name: self.upstream(name) for name in snapshot.upstreams}


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """What the metrics show of a snapshot: ``counters`` are those of its routes, and ``routes`` are the same by name.

    ``server_certificates`` are the leaves: an intermediate that ends first is the configuration check's to report.
    """

    snapshot: Snapshot
    counters: dict[Route, RouteMetrics]
    routes: dict[tuple[str, str], RouteMetrics]
    server_certificates: tuple[Expiry, ...]
    anchors: tuple[Expiry, ...]
    crls: tuple[CrlGauges, ...]


def _anchors(snapshot: Snapshot) -> Steps[tuple[Expiry, ...]]:
    """List each anchor of each bundle once: a bundle may name one twice, a repeated series spoils the whole scrape."""
    anchors: dict[Expiry, None] = {}
    for bundle in snapshot.bundles.values():
        for anchor in bundle.anchors:
            anchors[Expiry((bundle.name, anchor.fingerprint, anchor.subject), anchor.not_after)] = None
            yield
    return tuple(anchors)


def _anchor_windows(snapshot: Snapshot) -> tuple[Expiry, ...]:
    """List the anchors that a bundle trusts until a time of its own, with that time."""
    windows = (
        Expiry((bundle.name, anchor.fingerprint, anchor.subject), bundle.windows[anchor.fingerprint].not_after)
        for bundle in snapshot.bundles.values()
        if bundle.windows
        for anchor in bundle.anchors
        if anchor.fingerprint in bundle.windows
    )
    return tuple(dict.fromkeys(window for window in windows if window.not_after < inf))


def _crls(snapshot: Snapshot) -> tuple[CrlGauges, ...]:
    """Sum up the CRLs that count: a file may hold several of one issuer, and a series occurs once."""
    gauges: dict[tuple[str, ...], CrlGauges] = {}
    for bundle in snapshot.bundles.values():
        for crl in bundle.revocation.crls.newest if bundle.revocation is not None else ():
            labels = (bundle.name, crl.issuer, crl.source)
            before = gauges.get(labels, CrlGauges(labels, inf, 0))
            ends = min(before.next_update, crl.next_update)
            gauges[labels] = CrlGauges(labels, ends, before.entries + len(crl))
    return tuple(gauges.values())
