"""The leaf must name one of these IP addresses."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import ClassVar, Self

from proxy.decide.peer.policy.patterns import MAX_NAMES
from proxy.decide.peer.policy.rule import Timeless
from proxy.decide.peer.policy.settings import entries, refuse
from proxy.decide.text import listed, printable
from proxy.decide.verdict import Identity, Reason, Refused


@dataclass(frozen=True, slots=True)
class SanIp(Timeless):
    """Compare IP addresses of the subject alternative name, never the client's own address, with networks."""

    key: ClassVar[str] = "san_ip"
    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from a list of addresses and networks in CIDR form."""
        return cls(entries(setting, _network, '["192.0.2.7", "2001:db8::/32"]'))

    def judge(self, identity: Identity, _now: float, /) -> Refused | None:
        """Refuse a leaf without an IP address in one of the networks."""
        addresses = identity.leaf.san_ip
        if any(address in network for address in addresses[:MAX_NAMES] for network in self.networks):
            return None
        return refuse(Reason.NAME_NOT_ALLOWED, f"IP addresses {listed(addresses)}", self.networks)

    def __str__(self) -> str:
        return f"an IP address in {listed(self.networks)}"


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as fault:
        cause = f"{printable(text, 64)!r} is no address or network: {printable(str(fault), 128)}"
        raise ValueError(f"{cause}; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32") from fault
