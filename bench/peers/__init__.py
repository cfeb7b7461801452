"""The proxies that are compared: one file each, and the table of them."""

from __future__ import annotations

from typing import Final

from bench.peers import apache, caddy, envoy, haproxy, nginx, originward
from bench.peers.model import Peer
from bench.plan import OWN, UNCOMPILED

PEERS: Final[dict[str, Peer]] = {
    OWN: originward.Originward(),
    UNCOMPILED: originward.Uncompiled(),
    "nginx": nginx.Nginx(),
    "haproxy": haproxy.HAProxy(),
    "envoy": envoy.Envoy(),
    "caddy": caddy.Caddy(),
    "apache": apache.Apache(),
}
"""In the order in which tables and plots show them."""
