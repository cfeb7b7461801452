"""Kept CRLs: ``explain`` and ``check`` go by what a running proxy has fetched, and says what is not there."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.operate.check import check
from proxy.operate.demo.pki import Authority, Credential, Leaf
from proxy.operate.explain import explain_command
from proxy.snapshot.cache import open_cache
from proxy.snapshot.kept_crl import KeptHead, write_kept
from tests.support.crls import make_crl
from tests.support.site import ZONE, small_site

URL = "http://pki.example/ca.crl"


class Site:
    """A configuration with a CRL elsewhere and a cache, and a client of its authority."""

    def __init__(self, folder: Path) -> None:
        revocation = {"check": "leaf", "crl": {"sources": [URL]}}
        trust = {"cdn": {"anchors": ["cdn.pem"], "revocation": revocation}}
        self.config, self.cdn = small_site(folder, 1, trust=trust, cache={"directory": "cache"})
        self.client: Credential = self.cdn.issue(Leaf(subject="edge", dns=("edge.example",)))
        self.chain = self.client.write(folder / "client").chain
        self.cache = open_cache(folder / "cache")

    def keep(self, *serials: int, by: Authority | None = None) -> None:
        """Keep a CRL as a running proxy does."""
        data = make_crl(by or self.cdn, dict.fromkeys(serials, 1), number=7, this_update=time.time() - 3600)
        write_kept(
            self.cache, KeptHead(bundle="cdn", url=URL, digest=hashlib.sha256(data).hexdigest(), fetched_at=1.0), data
        )

    def explain(self) -> dict[str, Any]:
        """Explain the client."""
        lines: list[str] = []
        explain_command(self.config, self.chain, ZONE, "/", time.time(), json=True, write=lines.append)
        found: dict[str, Any] = msgspec.json.decode(lines[0])
        return found

    def check(self) -> list[str]:
        """Return the lines of ``check`` that name the address."""
        lines: list[str] = []
        check(self.config, time.time(), lines.append)
        return [line.strip() for line in lines if URL in line]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Write it."""
    return Site(tmp_path)


def test_a_client_is_judged_by_what_was_fetched(site: Site) -> None:
    """As the running proxy judges it; nothing is written."""
    site.keep()
    before = sorted(site.cache.directory.iterdir())
    answer = site.explain()
    assert (answer["admitted"], answer["awaits"]) == (True, [])
    site.keep(site.client.certificate.serial_number)
    assert site.explain()["reason"] == "revoked"
    assert sorted(site.cache.directory.iterdir()) == before


def test_what_is_not_there_is_named(site: Site) -> None:
    """Nobody takes the refusal for the running proxy's."""
    answer = site.explain()
    assert (answer["reason"], answer["awaits"]) == ("crl-missing", [f"the CRL at {URL}, which the cache does not have"])


def test_what_the_proxy_would_not_use_is_not_there(site: Site) -> None:
    """A CRL by somebody else is no better for being in the cache."""
    site.keep(by=Authority.root("CDN CA"))
    assert site.explain()["reason"] == "crl-missing"


def test_check_shows_what_was_fetched_and_what_is_to_be(site: Site) -> None:
    """A configuration with CRLs elsewhere does not look as if it had none."""
    assert site.check() == ["to be fetched       the CRL at http://pki.example/ca.crl, which the cache does not have"]
    site.keep(1, 2)
    assert site.check() == ["crl                 http://pki.example/ca.crl"]
