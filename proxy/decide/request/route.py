"""Hosts and routes: one normalisation and one matcher for the name in TLS and the name in HTTP.

A path covers itself, with or without a final slash, and everything below it; the longest one that covers the
request's path wins. Exact host names win over wildcards; ``*.`` stands for exactly one label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from proxy.decide.peer.gate import Gate

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_PORT: Final = re.compile(r":[0-9]{0,5}\Z")
MAX_NAME: Final = 253
"""Octets of a host name (RFC 1035, section 2.3.4)."""


class OnWithdrawal(StrEnum):
    """What becomes of a request under way whose client is no longer admitted."""

    FINISH = "finish"
    ABORT = "abort"


class ClientCertificate(StrEnum):
    """What a route asks of its clients."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One path prefix of one host: who may reach it, and where it leads.

    ``gate`` is None exactly where ``client_certificate`` is NONE. ``max_body`` is in octets, None for no limit.
    ``families`` names the sets of identity headers that the app gets. ``on_withdrawal`` None is to abort for a revoked
    client, and to finish for any other.
    """

    path: str
    client_certificate: ClientCertificate
    gate: Gate | None
    upstream: str
    families: tuple[str, ...] = ()
    max_body: int | None = None
    on_withdrawal: OnWithdrawal | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """A set of names with the routes behind them. ``is_default`` takes clients whose SNI is missing or unknown.

    ``gates`` are those of the routes, each once. ``asks`` tells whether the handshake asks for a certificate at all,
    ``requires`` whether it may refuse a client that has none. ``only`` is the route that covers every path, where there
    is no other.
    """

    names: tuple[str, ...]
    routes: tuple[Route, ...]
    is_default: bool = False
    gates: tuple[Gate, ...] = field(init=False, repr=False)
    asks: bool = field(init=False, repr=False)
    requires: bool = field(init=False, repr=False)
    only: Route | None = field(init=False, repr=False)
    _by_prefix: Mapping[str, Route] = field(init=False, repr=False)
    _in_lower_case: Mapping[str, Route] = field(init=False, repr=False)
    _depth: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Derive once what every handshake asks, and index the routes by their path without its final slash."""
        routes = self.routes
        wanted = [route.client_certificate for route in routes]
        gates = dict.fromkeys(route.gate for route in routes if route.gate is not None)
        object.__setattr__(self, "gates", tuple(gates))
        object.__setattr__(self, "asks", any(want is not ClientCertificate.NONE for want in wanted))
        object.__setattr__(self, "requires", all(want is ClientCertificate.REQUIRED for want in wanted))
        object.__setattr__(self, "only", routes[0] if len(routes) == 1 and routes[0].path == "/" else None)
        table = {route.path.rstrip("/"): route for route in self.routes}
        object.__setattr__(self, "_by_prefix", table)
        object.__setattr__(self, "_in_lower_case", {prefix.lower(): route for prefix, route in table.items()})
        object.__setattr__(self, "_depth", max((prefix.count("/") for prefix in table), default=0))

    @property
    def name(self) -> str:
        """The first name, which stands for the host in logs and metrics."""
        return self.names[0]

    def route(self, path: str) -> Route | None:
        """Return the most specific route that covers ``path`` (decoded, starting with a slash), or None."""
        return self._longest(path, self._by_prefix)

    def misread(self, path: str, route: Route) -> bool:
        """Tell whether an app that does not mind case would take ``path`` for one of another route than ``route``.

        Two routes that differ in case only are not each other's misreading: the configuration tells them apart.
        """
        lowered = path.lower()
        if lowered == path:
            return False
        found = self._longest(lowered, self._in_lower_case)
        return found is not None and found is not route and found.path.lower() != route.path.lower()

    def _longest(self, path: str, table: Mapping[str, Route]) -> Route | None:
        if not self._depth:
            return table.get("")
        prefix = "/".join(path.split("/", self._depth + 1)[: self._depth + 1])
        while prefix:
            found = table.get(prefix)
            if found is not None:
                return found
            prefix = prefix[: prefix.rfind("/")]
        return table.get("")


@dataclass(frozen=True, slots=True, eq=False)
class HostTable:
    """All hosts of a snapshot, found by a normalised name."""

    hosts: tuple[Host, ...]
    default: Host | None = field(init=False)
    _exact: Mapping[str, Host] = field(init=False, repr=False)
    _wildcard: Mapping[str, Host] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the names; that no two hosts share one is for the configuration to have checked."""
        names = [(name, host) for host in self.hosts for name in host.names]
        object.__setattr__(self, "_exact", {name: host for name, host in names if not name.startswith("*.")})
        object.__setattr__(self, "_wildcard", {name[2:]: host for name, host in names if name.startswith("*.")})
        object.__setattr__(self, "default", next((host for host in self.hosts if host.is_default), None))

    def find(self, name: str | None) -> Host | None:
        """Return the host for a normalised name; None, and a name that no host has, lead to the default host."""
        if name is None:
            return self.default
        found = self._exact.get(name)
        if found is None:
            found = self._wildcard.get(name.partition(".")[2])
        return found or self.default


def normalise_host(name: str) -> str | None:
    """Return a host name as it is compared: lower case, no trailing dot, no port; None where it is no host name.

    RFC 9110, section 4.2.3 and RFC 6066, section 3. Addresses in brackets keep their brackets.
    """
    name = _PORT.sub("", name, count=1).lower()
    if name.startswith("[") and name.endswith("]"):
        return name if re.fullmatch(r"\[[0-9a-f:.]{2,45}\]", name) else None
    name = name.removesuffix(".")
    return name if len(name) <= MAX_NAME and _NAME.fullmatch(name) else None

