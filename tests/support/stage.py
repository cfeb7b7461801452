"""A stage: a house with two authorities, a CRL and a configuration that a test changes as it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.operate.demo.pki import Authority, Credential
from tests.support.crls import crl_now
from tests.support.living import Living, living
from tests.support.site import TLS, ZONE, document, required, write_config, write_server


@dataclass
class Stage:
    """A house with two authorities, whose configuration the test changes."""

    house: Living
    folder: Path
    cdn: Authority
    other: Authority
    document: dict[str, Any]
    number: int = 1

    def publish(self, **sections: Any) -> None:
        """Replace sections of the configuration, and put it in force."""
        self.document.update(sections)
        write_config(self.folder, self.document)
        self.house.publish()

    def routes(self, *routes: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the one host with these routes."""
        return [{"names": [ZONE], "certificate": TLS, "routes": list(routes)}]

    def revoke(self, *credentials: Credential) -> None:
        """Replace the CRL."""
        self.number += 1
        write_crl(self.folder, self.cdn, self.number, *credentials)


def write_crl(folder: Path, cdn: Authority, number: int, *credentials: Credential) -> None:
    """Write the CRL of the first authority."""
    (folder / "new.crl").write_bytes(crl_now(cdn, number, *credentials))
    (folder / "new.crl").rename(folder / "cdn.crl")


@contextmanager
def stage(folder: Path, port: int, *routes: Mapping[str, Any], **sections: Any) -> Iterator[Stage]:
    """Put a house up."""
    cdn, other = Authority.root("CDN CA"), Authority.root("Other CA")
    cdn.write(folder / "cdn.pem")
    other.write(folder / "other.pem")
    write_server(folder / "tls")
    write_crl(folder, cdn, 1)
    revocation = {"check": "leaf", "crl": {"sources": ["cdn.crl"], "when_missing": "allow"}}
    trust = {"cdn": {"anchors": ["cdn.pem", "other.pem"], "revocation": revocation}}
    hosts = [{"names": [ZONE], "certificate": TLS, "routes": list(routes) or [required()]}]
    made = document(port, hosts, **{"trust": trust, **sections})
    with living(folder, write_config(folder, made)) as house:
        yield Stage(house, folder, cdn, other, made)
