"""The demo's stage: a folder with a PKI, a configuration and a place for the log."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from proxy.operate.demo.client import Target
from proxy.operate.demo.pki import SERVER, Authority, Credential, CredentialFiles, Leaf, Window, distinguished_name

HOST: Final = "origin.demo.test"
"""RFC 6761: no resolver knows a name below ``.test``, so nobody's real host is meant."""

_PAST: Final = Window.around_now(timedelta(days=30), -timedelta(days=1))
_CDN_NAME: Final = distinguished_name("edge.cdn.example", organization="Example CDN")

_CONFIG: Final = """\
# The configuration of originward's demo.
listen:
  - address: 127.0.0.1:{port}
trust:
  cdn:
    anchors: [cdn-ca.pem]
  partners:
    anchors: [partner-ca.pem]
upstreams:
  app: {{servers: ["http://127.0.0.1:{app_port}"]}}
hosts:
  - names: [{host}]
    certificate: {{chain: server/chain.pem, key: server/key.pem}}
    routes:
      - path: /
        trust: cdn
        policy:
          san_dns: [edge.cdn.example]
        upstream: app
      - path: /internal/
        trust: cdn
        policy:
          san_dns: [edge.cdn.example]
        upstream: app
      - path: /partners/
        trust: partners
        policy:
          san_uri: ["spiffe://partner.example/app"]
        upstream: app
      - path: /public/
        client_certificate: none
        upstream: app
admin: {{address: "127.0.0.1:{admin_port}"}}
log: {{target: originward.log, requests: all}}
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of 127.0.0.1 that the demo uses."""

    proxy: int
    admin: int
    app: int


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demo needs to know of its folder.

    ``credentials`` are the clients' files by name; ``identities`` the value of Client-Cert (RFC 9440) that belongs to
    each; ``errors`` is where the proxy's standard output and standard error go.
    """

    folder: Path
    config: Path
    log: Path
    errors: Path
    target: Target
    ports: Ports
    credentials: Mapping[str, CredentialFiles]
    identities: Mapping[str, str]


def build_stage(folder: Path, ports: Ports) -> Stage:
    """Fill ``folder`` with a new PKI and the configuration that uses it."""
    server_ca = Authority.root("Demo server CA")
    clients = _issue_clients(folder)
    ca_file = server_ca.write(folder / "server-ca.pem")
    server_ca.issue(Leaf(subject=HOST, dns=(HOST, "localhost"), ip=("127.0.0.1",), eku=SERVER)).write(folder / "server")
    config = folder / "demo.yaml"
    config.write_text(_CONFIG.format(port=ports.proxy, app_port=ports.app, admin_port=ports.admin, host=HOST))
    return Stage(
        folder=folder,
        config=config,
        log=folder / "originward.log",
        errors=folder / "originward.out",
        target=Target(ports.proxy, HOST, ca_file),
        ports=ports,
        credentials={name: client.write(folder / name) for name, client in clients.items()},
        identities={name: client_cert(client) for name, client in clients.items()},
    )


def client_cert(credential: Credential) -> str:
    """Return the leaf as a byte sequence of RFC 9651, which is how RFC 9440 writes Client-Cert."""
    return f":{base64.b64encode(credential.certificate.public_bytes(Encoding.DER)).decode()}:"


def _issue_clients(folder: Path) -> dict[str, Credential]:
    cdn_root = Authority.root("Demo CDN CA")
    cdn = cdn_root.intermediate("Demo CDN issuing CA", path_length=0)
    partner = Authority.root("Demo partner CA")
    rogue = Authority.root("Demo CDN CA").intermediate("Demo CDN issuing CA", path_length=0)
    cdn_root.write(folder / "cdn-ca.pem")
    partner.write(folder / "partner-ca.pem")
    edge = ("edge.cdn.example",)
    return {
        "cdn": cdn.issue(Leaf(subject=_CDN_NAME, dns=edge)),
        "partner": partner.issue(Leaf(subject="partner app", uri=("spiffe://partner.example/app",))),
        "rogue": rogue.issue(Leaf(subject=_CDN_NAME, dns=edge)),
        "expired": cdn.issue(Leaf(subject=_CDN_NAME, dns=edge, window=_PAST)),
        "wrong-purpose": cdn.issue(Leaf(subject=_CDN_NAME, dns=edge, eku=SERVER)),
        "wrong-san": cdn.issue(Leaf(subject="edge.other.example", dns=("edge.other.example",))),
    }
