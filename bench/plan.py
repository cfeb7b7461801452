"""What is measured: the tasks that the proxies are given, and one row for each figure.

A task is what a proxy is configured for; a row is one load on one task. Rows of the same task share their processes.
Targets are ratios of originward's median to that of another proxy in the same run; ``SELF`` is originward's own
figure at the smallest size of the row's series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

OWN: Final = "originward"
UNCOMPILED: Final = "uncompiled"
"""originward as it is without a C compiler."""

SELF: Final = "self"
EVERYBODY: Final = (OWN, UNCOMPILED, "nginx", "haproxy", "envoy", "caddy", "apache")
WITH_CRLS: Final = (OWN, "nginx", "haproxy", "envoy", "apache")
BESIDE: Final = (OWN, "nginx", "haproxy")
FLAT: Final = {SELF: 1.1}
"""What a cost that does not depend on size may grow by: noise and caches."""

KILOBYTE: Final = 1_000
MEGABYTE: Final = 1_000_000
BULK: Final = 100 * MEGABYTE


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a proxy is configured for.

    ``tickets``: peers keep their session tickets and caches as they come. ``crl``: the entries of each CRL, of which
    there are ``crls``, by as many authorities. ``reloads``: a signal will make it read its configuration again, for
    which some need another process.
    """

    key: str = "ecdsa"
    tickets: bool = False
    routes: int = 1
    hosts: int = 1
    crl: int = 0
    crls: int = 1
    workers: int = 1
    reloads: bool = False

    @property
    def label(self) -> str:
        """The settings that differ from the plain task, for file names and messages."""
        plain = Task()
        other = [f"{name}-{value}" for name, value in vars(self).items() if value != getattr(plain, name)]
        return "_".join(other) or "plain"


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is sent. ``measure`` names a function in bench/measures.py; ``body`` is in octets.

    ``varying``: each request has values of its own in its header fields, as a CDN's have.
    ``known``: the proxy has seen all certificates before it is measured.
    ``busy``: on how many of the connections requests are made; the others only stay open. 0: on all.
    """

    measure: str
    tls: str = "1.3"
    body: int = 0
    connections: int = 32
    identities: int = 1
    varying: bool = True
    known: bool = True
    busy: int = 0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure: ``title`` and ``unit`` for readers, ``figure`` out of those that the measure returns."""

    name: str
    title: str
    unit: str
    figure: str
    load: Load
    task: Task = field(default_factory=Task)
    peers: tuple[str, ...] = EVERYBODY
    targets: Mapping[str, float] = field(default_factory=dict)
    series: tuple[str, int] | None = None
    quick: bool = False


def _requests(name: str, title: str, **options: object) -> Row:
    return _row(name, title, "µs CPU", "cpu_us", "requests", options)


def _handshakes(name: str, title: str, **options: object) -> Row:
    return _row(name, title, "µs CPU", "cpu_us", "handshakes", options)


def _row(name: str, title: str, unit: str, figure: str, measure: str, options: dict[str, object]) -> Row:  # noqa: PLR0917 - columns of a table
    """Sort options into those of the load and those of the row."""
    loads = {key: options.pop(key) for key in list(options) if key in Load.__dataclass_fields__}
    load = Load(measure=measure, **loads)  # type: ignore[arg-type]
    return Row(name=name, title=title, unit=unit, figure=figure, load=load, **options)  # type: ignore[arg-type]


MAIN: Final = (
    _requests("requests", "keep-alive request", targets={"nginx": 1.0, "envoy": 0.5, "caddy": 0.45}, quick=True),
    _row("steady", "request at 8,000/s", "µs CPU", "cpu_us", "steady", {}),
    _row("latency", "p99 at half of its own saturation", "ms", "p99_ms", "latency",
         {"targets": {"nginx": 1.5}, "quick": True}),
    _handshakes("handshakes", "full mTLS handshake with a request, tickets off",
                targets={"nginx": 0.8, "haproxy": 0.8, "envoy": 1.35}, quick=True),
    _handshakes("handshakes-tickets", "the same, peers as they come", task=Task(tickets=True),
                targets={"nginx": 0.6, "haproxy": 0.6}, quick=True),
    _row("download", "100 MB down", "CPU s/GB", "cpu_s_per_gb", "download",
         {"body": BULK, "targets": {"nginx": 0.8, "envoy": 1.1}, "quick": True}),
    _row("upload", "100 MB up", "CPU s/GB", "cpu_s_per_gb", "upload", {"body": BULK}),
    _row("idle", "idle connection", "KB", "kb", "idle",
         {"connections": 1_000, "targets": {"nginx": 1.3, "envoy": 0.95}, "quick": True}),
)  # fmt: skip

KINDS: Final = (
    _requests("requests-1k", "keep-alive request, 1 KB", body=KILOBYTE),
    _requests("requests-16k", "keep-alive request, 16 KB", body=16 * KILOBYTE),
    _row("download-1m", "1 MB down", "CPU s/GB", "cpu_s_per_gb", "download", {"body": MEGABYTE}),
    _row("upload-1m", "1 MB up", "CPU s/GB", "cpu_s_per_gb", "upload", {"body": MEGABYTE}),
    _requests("requests-same", "keep-alive request, the same head each time", varying=False),
    _requests("requests-tls12", "keep-alive request, TLS 1.2", tls="1.2"),
    _handshakes("handshakes-tls12", "full handshake, TLS 1.2", tls="1.2"),
    _handshakes("handshakes-rsa", "full handshake, RSA-2048", task=Task(key="rsa")),
    _handshakes("handshakes-rsa-tls12", "full handshake, RSA-2048, TLS 1.2", task=Task(key="rsa"), tls="1.2"),
)

ROUTES: Final = tuple(
    _requests(f"routes-{size}", f"request, {size:,} routes", task=Task(routes=size), series=("routes", size),
              targets=FLAT if size > 1 else {}, peers=(*BESIDE, "envoy", "caddy"))
    for size in (1, 100, 10_000)
)  # fmt: skip

HOSTS: Final = tuple(
    _handshakes(f"hosts-{size}", f"handshake, {size:,} hosts", task=Task(hosts=size), series=("hosts", size),
                targets=FLAT if size > 1 else {}, peers=(*BESIDE, "envoy"))
    for size in (1, 1_000)
)  # fmt: skip

IDENTITIES: Final = tuple(
    _handshakes(f"identities-{size}", f"handshake, {size:,} client certificates", identities=size,
                series=("identities", size), targets=FLAT if size > 1 else {}, peers=BESIDE)
    for size in (1, 10_000)
)  # fmt: skip

FIRST_SIGHT: Final = _handshakes(
    "first-sight", "handshake, each certificate for the first time", identities=10_000, known=False, peers=BESIDE
)

IDENTITY_REQUESTS: Final = tuple(
    _requests(f"identity-requests-{size}", f"request, {size:,} client certificates on 1,000 connections",
              identities=size, connections=1_000, series=("identities of open connections", size),
              targets=FLAT if size > 1 else {}, peers=BESIDE)
    for size in (1, 1_000)
)  # fmt: skip

CRLS: Final = tuple(
    _handshakes(f"crl-{size}", f"full handshake, CRL of {size:,} entries", task=Task(crl=size),
                series=("CRL entries", size), targets={SELF: 1.02, **targets} if size else {},
                peers=WITH_CRLS, quick=size == 1_000_000)
    for size, targets in ((0, {}), (10_000, {}), (1_000_000, {"nginx": 0.05}))
)  # fmt: skip

MANY_CRLS: Final = _handshakes(
    "crls-100", "full handshake, 100 CRLs of 10,000 entries", task=Task(crl=10_000, crls=100),
    targets={"nginx": 0.8}, peers=WITH_CRLS,
)  # fmt: skip

OPEN: Final = tuple(
    _requests(f"open-{size}", f"request on 100 connections, {size:,} open", connections=size, busy=100,
              series=("open connections, 100 of them busy", size), targets=FLAT if size > 100 else {},
              peers=(*BESIDE, "envoy"))
    for size in (100, 10_000)
)  # fmt: skip

CONNECTIONS: Final = tuple(
    _requests(f"connections-{size}", f"request on each of {size:,} open connections", connections=size,
              series=("open connections, all of them busy", size), targets=FLAT if size > 100 else {},
              peers=(*BESIDE, "envoy"))
    for size in (100, 10_000)
)  # fmt: skip

WORKERS: Final = tuple(
    _requests(f"workers-{size}", f"request, {size} workers", task=Task(workers=size), series=("workers", size),
              targets={SELF: 1.05} if size > 1 else {}, peers=(*BESIDE, "envoy"))
    for size in (1, 2)
)  # fmt: skip

_RELOADS: Final = Task(hosts=1_000, reloads=True)

RELOADS: Final = (
    _row("reload", "reload that adds a host to 1,000, until it is served", "s", "seconds", "reload",
         {"task": _RELOADS, "peers": BESIDE}),
    _row("reload-pause", "longest wait of a connected client meanwhile", "ms", "pause_ms", "reload",
         {"task": _RELOADS, "peers": BESIDE}),
)  # fmt: skip

ROWS: Final = (*MAIN, *KINDS, *ROUTES, *HOSTS, *IDENTITIES, FIRST_SIGHT, *IDENTITY_REQUESTS, *CRLS, MANY_CRLS,
               *OPEN, *CONNECTIONS, *WORKERS, *RELOADS)  # fmt: skip
BY_NAME: Final = {row.name: row for row in ROWS}


def by_task(rows: Iterable[Row]) -> dict[Task, list[Row]]:
    """Group rows by the task that they share."""
    groups: dict[Task, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.task, []).append(row)
    return groups
