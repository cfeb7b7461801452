"""A site whose CRL is at a URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.operate.demo.pki import Authority, Credential, Leaf
from tests.support import web
from tests.support.crls import at, crl_now, points
from tests.support.harness import RawOrigin
from tests.support.site import small_site
from tests.support.web import Web


@dataclass
class CrlSite:
    """A configuration whose CRL is at ``server``, and a client that the test may revoke."""

    config: Path
    cdn: Authority
    server: Web
    credential: Credential

    def serve(self, number: int, *revoked: Credential) -> None:
        """Serve a CRL from now on."""
        self.server.answers["/ca.crl"] = web.body(crl_now(self.cdn, number, *revoked))


@contextmanager
def crl_site(folder: Path, *, named: bool = False, **terms: str) -> Iterator[CrlSite]:
    """Write a site, with a server of its CRL, an app, and a cache that outlasts a proxy.

    Its configuration says where the CRL is, or, where it is ``named``, its clients' certificates do.
    """
    with RawOrigin() as origin, Web() as server:
        allowed = f"localhost:{server.port}"
        where = {"sources": ["cdp"], "allow_hosts": [allowed]} if named else {"sources": [server.url()]}
        trust = {"cdn": {"anchors": ["cdn.pem"], "revocation": {"crl": {**where, **terms}}}}
        config, cdn = small_site(folder, origin.port, trust=trust, cache={"directory": "cache"})
        leaf = Leaf(subject="edge", extra=(points(at(server.url())),) if named else ())
        yield CrlSite(config, cdn, server, cdn.issue(leaf))
