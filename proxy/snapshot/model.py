"""The snapshot: everything that a running proxy reads, frozen together under one generation number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.decide.facts import Certificate
from proxy.decide.peer.chain import Bundle
from proxy.decide.request.route import Host, HostTable
from proxy.snapshot.address import Address
from proxy.snapshot.config import IDLE_TIMEOUT, MAX_CONNECTIONS, MAX_IDLE, Config
from proxy.snapshot.tls import HostContext

__all__ = ["Address", "Snapshot", "Upstream"]


@dataclass(frozen=True, slots=True, eq=False)
class Upstream:
    """The servers of an app; requests go to them in turn.

    To each server at most ``max_connections`` are open at a time, and ``max_idle`` are kept idle for at most
    ``idle_timeout`` seconds.
    """

    name: str
    servers: tuple[Address, ...]
    max_idle: int = MAX_IDLE
    idle_timeout: float = IDLE_TIMEOUT
    max_connections: int = MAX_CONNECTIONS


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One generation of everything.

    ``contexts`` holds the TLS context of each host, ``certificates`` the chain that each host presents (leaf
    first), ``warnings`` what an operator should know: each loosening that the configuration spells out, and each
    file that is in a worrying state. ``files`` are all the files that were read.
    """

    generation: int
    config: Config
    hosts: HostTable
    contexts: Mapping[Host, HostContext]
    certificates: Mapping[Host, tuple[Certificate, ...]]
    bundles: Mapping[str, Bundle]
    upstreams: Mapping[str, Upstream]
    warnings: tuple[str, ...]
    files: tuple[Path, ...]
