"""The snapshot: everything that a running proxy reads, frozen together under one generation number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from OpenSSL import SSL

from proxy.decide.facts import Certificate
from proxy.decide.peer.chain import Bundle
from proxy.decide.request.route import Host, HostTable
from proxy.snapshot.config import Config


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect or to listen: an IP address or name with a port, or a Unix socket's ``path``."""

    host: str
    port: int
    path: str | None = None

    def __str__(self) -> str:
        """Write the address as the configuration does."""
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, eq=False)
class Upstream:
    """The servers of an app; requests go to them in turn."""

    name: str
    servers: tuple[Address, ...]


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
    contexts: Mapping[Host, SSL.Context]
    certificates: Mapping[Host, tuple[Certificate, ...]]
    bundles: Mapping[str, Bundle]
    upstreams: Mapping[str, Upstream]
    warnings: tuple[str, ...]
    files: tuple[Path, ...]
