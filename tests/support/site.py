"""A site: a PKI, a configuration with a host for each promise, an app, and the proxy in front of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from proxy.operate.demo.pki import SERVER, Authority, Credential, Leaf, PrivateKey
from tests.support.certificates import DAY
from tests.support.crls import make_crl
from tests.support.harness import ProxyProcess, RawOrigin, Seen, running

ZONE: Final = "origin.test"
TLS: Final = {"chain": "tls/chain.pem", "key": "tls/key.pem"}


@dataclass(frozen=True)
class Site:
    """A running proxy with the authorities that its bundles anchor.

    ``issuing`` is two steps below ``cdn``; ``rogue`` and ``system`` are in none of the bundles. ``revoked`` gives
    clients that the CRL of bundle ``listed`` lists, a new one each time, or their refusals would be folded.
    """

    folder: Path
    proxy: ProxyProcess
    origin: RawOrigin
    cdn: Authority
    issuing: Authority
    partners: Authority
    rogue: Authority
    system: Authority
    revoked: Iterator[Credential]
    _addresses: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    def address(self) -> str:
        """Return a loopback address that no other client of this site has: its refusals are not folded with theirs."""
        number = next(self._addresses)
        return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"

    def seen(self, path: str) -> Seen:
        """Return the next request for ``path`` that the app saw; those before it belong to other tests."""
        seen = self.origin.next()
        while seen.raw.split(b" ", 2)[1] != path.encode():
            seen = self.origin.next()
        return seen

    def line(self, event: str, address: str) -> dict[str, Any]:
        """Return the log line of an event about the client at ``address``."""
        return self.proxy.wait_for(lambda line: line["event"] == event and line["peer"].startswith(f"{address}:"))


def host(name: str) -> str:
    """Return the full name of one of the hosts below."""
    return f"{name}.{ZONE}"


def required(trust: str = "cdn", path: str = "/", **policy: object) -> dict[str, Any]:
    """Make a route that requires a certificate."""
    return {"path": path, "trust": trust, "upstream": "app", **({"policy": policy} if policy else {})}


def public(path: str = "/") -> dict[str, Any]:
    """Make a route that asks for none."""
    return {"path": path, "client_certificate": "none", "upstream": "app"}


def optional(path: str = "/", trust: str = "cdn") -> dict[str, Any]:
    """Make a route that takes clients with and without one."""
    return {**required(trust, path), "client_certificate": "optional"}


HOSTS: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "required": (required(),),
    "*.required": (required(),),
    "exact.required": (public(),),
    "mixed": (required(), public("/public/"), optional("/maybe/")),
    "public": (public(),),
    "two": (required("partners", "/partners/"), required("cdn", "/internal/")),
    "issuing": (required("issuing"),),
    "nested": (required("issuing", "/"), required("cdn", "/root/")),
    "strict": (required("strict"),),
    "dns": (required(san_dns=["edge.example"]),),
    "issuer": (required(issuer=["CN=Another CA"]),),
    "pins": (required(spki_pins=["sha256:" + 64 * "0"]),),
    "lifetime": (required(max_lifetime="1d"),),
    "contract": (required(not_after_limit="2020-01-01"),),
    "key": (required(key=["RSA >= 3072"]),),
    "chain": (required(max_chain=2),),
    "headers": ({**required(), "identity_headers": ["rfc9440", "xfcc", "nginx", "alb"]},),
    "rsa": (required(),),
    "listed": (required("listed"),),
    "outdated": (required("outdated"),),
    "unlisted": (required("unlisted"),),
    "unanswered": (required("unanswered"),),
}
"""Each with names below ``ZONE``, so that a test names its host by the promise that it tests."""


def document(origin_port: int, hosts: Sequence[Mapping[str, Any]], **sections: object) -> dict[str, Any]:
    """Make a configuration on free ports with one app and the bundle ``cdn``; ``sections`` replace what is there."""
    return {
        "listen": [{"address": "127.0.0.1:0"}],
        "trust": {"cdn": {"anchors": ["cdn.pem"]}},
        "upstreams": {"app": {"servers": [f"http://127.0.0.1:{origin_port}"]}},
        "hosts": list(hosts),
        "admin": {"address": "127.0.0.1:0"},
        **sections,
    }


def write_config(folder: Path, configuration: Mapping[str, Any]) -> Path:
    """Write a configuration file."""
    file = folder / "originward.yaml"
    file.write_text(yaml.safe_dump(dict(configuration)))
    return file


def write_server(folder: Path, key: PrivateKey | None = None) -> Credential:
    """Write a server certificate for every name of the zone."""
    names = (ZONE, f"*.{ZONE}", f"*.required.{ZONE}")
    server = Authority.root("Server CA").issue(Leaf(subject=ZONE, dns=names, eku=SERVER, key=key))
    server.write(folder)
    return server


def small_site(
    folder: Path, origin_port: int, *routes: Mapping[str, Any], **sections: object
) -> tuple[Path, Authority]:
    """Write a site of one host, ``ZONE``; return its configuration file and the authority of its bundle."""
    folder.mkdir(exist_ok=True)
    cdn = Authority.root("CDN CA")
    cdn.write(folder / "cdn.pem")
    write_server(folder / "tls")
    only = {"names": [ZONE], "certificate": TLS, "routes": list(routes) or [required()]}
    return write_config(folder, document(origin_port, [only], **sections)), cdn


def write_crls(folder: Path, cdn: Authority, revoked: Sequence[Credential]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Write the CRLs of the bundles that look at them; yield each bundle's name and its revocation settings."""
    now = datetime.now(UTC).timestamp()
    listing = {credential.certificate.serial_number: 1 for credential in revoked}
    crls = {
        "listed": make_crl(cdn, listing, number=7, this_update=now - DAY),
        "outdated": make_crl(cdn, number=3, this_update=now - 3 * DAY, next_update=now - DAY),
        "unlisted": make_crl(Authority.root("Another CA"), this_update=now - DAY),
    }
    for name, crl in crls.items():
        (folder / f"{name}.crl").write_bytes(crl)
        yield name, {"check": "leaf", "crl": {"sources": [f"{name}.crl"]}}


@contextmanager
def large_site(folder: Path, rsa: PrivateKey, issuing: Authority, cdn: Authority) -> Iterator[Site]:
    """Run a proxy with all of ``HOSTS``; ``rsa`` is the key of the host of that name, ``issuing`` is below ``cdn``."""
    partners, rogue, system = (Authority.root(f"{name} CA") for name in ("Partner", "Rogue", "System"))
    for name, authority in (("cdn", cdn), ("partners", partners), ("issuing", issuing), ("system", system)):
        authority.write(folder / f"{name}.pem")
    write_server(folder / "tls")
    write_server(folder / "rsa", rsa)
    bundles: dict[str, Any] = {name: {"anchors": [f"{name}.pem"]} for name in ("cdn", "partners", "issuing")}
    bundles["strict"] = {"anchors": ["cdn.pem"], "require_eku": True}
    revoked = [cdn.issue(Leaf(subject="revoked")) for _ in range(4)]
    bundles |= {name: {"anchors": ["cdn.pem"], "revocation": lists} for name, lists in write_crls(folder, cdn, revoked)}
    unanswered = {"check": "leaf", "ocsp": {"allow_hosts": ["ocsp.pki.example"]}}
    bundles["unanswered"] = {"anchors": ["cdn.pem"], "revocation": unanswered}
    files = {"rsa": {"chain": "rsa/chain.pem", "key": "rsa/key.pem"}}
    hosts = [
        {"names": [host(name)], "certificate": files.get(name, TLS), "routes": list(routes)}
        for name, routes in HOSTS.items()
    ]
    with RawOrigin() as origin:
        config = write_config(folder, document(origin.port, hosts, trust=bundles))
        with running(config) as proxy:
            yield Site(folder, proxy, origin, cdn, issuing, partners, rogue, system, iter(revoked))
