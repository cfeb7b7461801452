"""Kept CRLs: ``check`` and ``explain`` know what the proxy has fetched, and leave it as it is."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from proxy.__main__ import main
from proxy.operate.demo.pki import Authority, Credential, Leaf
from proxy.operate.explain import Question, explain_loaded, read_chain
from proxy.operate.kept import NOT_YET, NOTHING, load_with_kept
from proxy.snapshot.cache import Cache
from proxy.snapshot.kept_crl import KeptHead, kept_name, write_kept
from tests.support import web
from tests.support.crls import at, make_crl, points
from tests.support.harness import RawOrigin, running
from tests.support.site import ZONE, small_site
from tests.support.web import Web

URL = "http://pki.example/ca.crl"
FETCHED = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""


@dataclass
class Site:
    """A configuration whose CRLs are elsewhere, its cache, and a client."""

    config: Path
    cdn: Authority
    client: Credential
    print: Callable[[], str]

    @property
    def cache(self) -> Cache:
        """The folder that the configuration names."""
        directory = self.config.parent / "cache"
        directory.mkdir(exist_ok=True, mode=0o700)
        return Cache(directory)

    def keep(self, data: bytes, url: str = URL) -> None:
        """Keep a CRL, as a proxy does that has fetched it."""
        digest = hashlib.sha256(data).hexdigest()
        write_kept(self.cache, KeptHead(bundle="cdn", url=url, digest=digest, fetched_at=FETCHED), data)

    def crl(self, number: int, *serials: int, **options: Any) -> bytes:
        """Make a CRL of the bundle's CA."""
        return make_crl(self.cdn, dict.fromkeys(serials, 1), number=number, this_update=time.time() - 60, **options)

    def check(self) -> str:
        """Return what ``check`` prints, with single blanks."""
        assert main(["check", str(self.config)]) == 0
        return "\n".join(" ".join(line.split()) for line in self.print().splitlines())

    def explain(self, *more: str) -> tuple[int, str]:
        """Return what ``explain`` answers about the client."""
        chain = self.config.parent / "client" / "chain.pem"
        status = main(["explain", str(self.config), "--cert", str(chain), "--host", ZONE, *more])
        return status, self.print()


def make_site(folder: Path, capsys: pytest.CaptureFixture[str], *, cache: bool = True, **crl: Any) -> Site:
    """Write a configuration with these settings of CRLs, and a client whose certificate names the first address."""
    settings = {"refresh": "1h", "timeout": "2s", **crl}
    trust = {"cdn": {"anchors": ["cdn.pem"], "revocation": {"check": "leaf", "crl": settings}}}
    config, cdn = small_site(folder, 9, trust=trust, **({"cache": {"directory": "cache"}} if cache else {}))
    client = cdn.issue(Leaf(subject="edge", extra=(points(at(URL)),)))
    client.write(folder / "client")
    return Site(config, cdn, client, lambda: capsys.readouterr().out)


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    """Write a configuration with one address."""
    return make_site(tmp_path, capsys, sources=[URL])


def test_check_shows_what_is_kept(site: Site) -> None:
    """Its number, its entries, its dates, and when it was fetched."""
    site.keep(site.crl(7, 1, 2))
    assert f"crl {URL}\nCRL 7 of CN=CDN CA; entries: 2; fetched 2026-01-01 00:00 UTC\nfrom " in site.check()


def test_explain_judges_by_what_is_kept(site: Site) -> None:
    """And says from where it came, and when."""
    site.keep(site.crl(7))
    status, text = site.explain()
    assert status == 0
    assert f"depth 0 is not in CRL 7 of CN=CDN CA ({URL}, fetched 2026-01-01 00:00 UTC; from " in text
    site.keep(site.crl(8, site.client.certificate.serial_number))
    status, text = site.explain()
    assert (status, "REFUSED (revoked)" in text) == (1, True)
    assert f"says CRL 8 of CN=CDN CA ({URL}, fetched 2026-01-01 00:00 UTC; from " in text


def test_what_is_not_there_yet_is_said(site: Site) -> None:
    """The folder is made by the first start; without a CRL the client is refused, and the answer says what it lacks."""
    assert f"crl {URL}\n{NOT_YET}" in site.check()
    assert not (site.config.parent / "cache").exists()
    status, text = site.explain()
    assert (status, "REFUSED (crl-missing)" in text) == (1, True)
    assert f"that is without these CRLs:\n  {URL}: {NOT_YET}\n" in text
    assert json.loads(site.explain("--json")[1])["lacks"] == [f"{URL}: {NOT_YET}"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html>", "what is kept does not count: malformed: neither PEM nor one DER CRL"),
        (make_crl(Authority.root("CDN CA")), "what is kept does not count: wrong-signer: CN=CDN CA has not issued"),
    ],
)
def test_what_may_not_be_used_is_not(site: Site, data: bytes, words: str) -> None:
    """A start would not take it either."""
    site.keep(data)
    assert f"crl {URL}\n{words}" in site.check()
    assert site.explain()[0] == 1


def test_what_is_damaged_is_said(site: Site) -> None:
    """Cut off, as by a disk's fault."""
    site.keep(site.crl(7))
    file = site.cache.path(kept_name("cdn", URL))
    file.write_bytes(file.read_bytes()[:-1])
    assert f"crl {URL}\nwhat is kept does not count: malformed: " in site.check()
    file.write_bytes(b"{")
    assert f"crl {URL}\nwhat is kept does not count: malformed: " in site.check()


def test_a_cache_that_cannot_be_read_is_a_line_and_no_crash(site: Site) -> None:
    """Here a file is where the folder was to be; another user's folder is the same."""
    (site.config.parent / "cache").write_text("")
    words = f"what is kept cannot be read: {site.config.parent}/cache: Not a directory; ask as the proxy's user"
    assert f"crl {URL}\n{words}" in site.check()
    status, text = site.explain()
    assert (status, "what is kept cannot be read: " in text) == (1, True)


def test_the_service_managers_folder_counts_where_none_is_configured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for ``run``; where there is neither, nothing outlasts a proxy."""
    site = make_site(tmp_path, capsys, cache=False, sources=[URL])
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    assert NOTHING in site.check()
    site.keep(site.crl(7))
    monkeypatch.setenv("CACHE_DIRECTORY", str(site.cache.directory))
    assert "CRL 7 of CN=CDN CA; entries: 0; fetched" in site.check()
    assert site.explain()[0] == 0


def test_what_certificates_name_is_known_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As far as the configuration follows them; what is kept of another host has no say."""
    site = make_site(tmp_path, capsys, sources=["cdp"], allow_hosts=["pki.example"])
    assert "that is without what a running proxy would ask for first" in site.explain()[1]
    site.keep(site.crl(7))
    site.keep(site.crl(9, site.client.certificate.serial_number), "http://other.example/ca.crl")
    assert "other.example" not in site.check()
    status, text = site.explain()
    assert (status, "would ask for first" in text) == (0, False)
    assert f"({URL}, fetched 2026-01-01 00:00 UTC; " in text


def test_a_delta_that_is_kept_counts(site: Site) -> None:
    """Beside the CRL that names it, as in a proxy."""
    delta = "http://pki.example/delta.crl"
    site.keep(site.crl(7, extensions=[(x509.FreshestCRL([at(delta)]), False)]))
    assert f"crl {delta}\n{NOT_YET}" in site.check()
    site.keep(site.crl(8, site.client.certificate.serial_number, base=7), delta)
    assert f"crl {delta}\ndelta CRL (of 7) 8 of CN=CDN CA; entries: 1; fetched " in site.check()
    assert "REFUSED (revoked)" in site.explain()[1]


def test_another_day_is_judged_by_it(site: Site) -> None:
    """Past its nextUpdate it refuses, as it would then."""
    site.keep(site.crl(7, next_update=time.time() + 3600))
    chain = site.config.parent / "client" / "chain.pem"
    question = Question(read_chain(chain), ZONE, "/", time.time() + 7200)
    explanation = explain_loaded(load_with_kept(site.config, question.at, {}), question)
    assert explanation.reason == "crl-stale"


@pytest.fixture
def served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[Site, Web]]:
    """Run a server with the CRL."""
    with Web() as server:
        yield make_site(tmp_path, capsys, sources=[server.url()]), server


def test_what_a_proxy_has_fetched_is_what_is_judged_by(served: tuple[Site, Web]) -> None:
    """Nothing of it is changed by asking, and nothing is fetched."""
    site, server = served
    server.answers["/ca.crl"] = web.body(site.crl(5, site.client.certificate.serial_number))
    with RawOrigin(), running(site.config) as proxy:
        proxy.wait_for(lambda line: line["event"] == "crl.updated")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in site.cache.directory.iterdir()}
    assert f"crl {server.url()}\nCRL 5 of CN=CDN CA; entries: 1; fetched " in site.check()
    status, text = site.explain()
    assert (status, "REFUSED (revoked)" in text) == (1, True)
    assert before == {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in site.cache.directory.iterdir()}
    assert server.count("/ca.crl") == 1
