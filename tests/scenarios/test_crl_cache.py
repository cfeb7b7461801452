"""A CRL is compiled once, kept over restarts, never trusted when it is damaged, and leaves nothing behind unasked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.operate.demo.pki import Credential, Leaf
from tests.support.certificates import DAY
from tests.support.crls import make_crl
from tests.support.harness import RawOrigin, TlsClient, running
from tests.support.site import ZONE, small_site

TRUST = {"cdn": {"anchors": ["cdn.pem"], "revocation": {"crl": {"sources": ["cdn.crl"]}}}}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the proxies a place of their own for temporary files."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    return tmp_path / "tmp"


def site(folder: Path, port: int, **sections: object) -> tuple[Path, Credential, Credential]:
    """Write a site; return its configuration, a client that its CRL lists, and one that it does not."""
    config, cdn = small_site(folder, port, trust=TRUST, **sections)
    revoked, good = cdn.issue(Leaf(subject="revoked")), cdn.issue(Leaf(subject="good"))
    listed = {revoked.certificate.serial_number: 1} | dict.fromkeys(range(1, 2000), 0)
    now = datetime.now(UTC).timestamp()
    (folder / "cdn.crl").write_bytes(make_crl(cdn, listed, this_update=now - DAY))
    return config, revoked, good


def judge(config: Path, revoked: Credential, good: Credential) -> None:
    """Start a proxy, and hold both clients against it."""
    with running(config) as proxy:
        with TlsClient(proxy.port, ZONE, revoked) as client:
            client.handshake().read()
            assert "certificate revoked" in str(client.error)
        assert proxy.reason("handshake.refused") == "revoked"
        with TlsClient(proxy.port, ZONE, good) as client:
            assert client.handshake().get("/", ZONE).status == 200


def test_a_restart_finds_the_index_or_mends_it(tmp_path: Path, temporary: Path) -> None:
    """The same file serves the second start; cut off, or with entries changed, it is made anew."""
    with RawOrigin() as origin:
        config, *clients = site(tmp_path / "site", origin.port, cache={"directory": "cache"})
        judge(config, *clients)
        (index,) = (tmp_path / "site" / "cache").iterdir()
        good, made = index.read_bytes(), index.stat().st_ino
        judge(config, *clients)
        assert index.stat().st_ino == made
        for bad in (good[: len(good) // 2], good[: len(good) // 2].ljust(len(good), b"\0")):
            index.write_bytes(bad)
            judge(config, *clients)
            assert index.read_bytes() == good
    assert list(temporary.iterdir()) == []


def test_without_a_directory_nothing_stays(tmp_path: Path, temporary: Path) -> None:
    """The process's own cache goes with it."""
    with RawOrigin() as origin:
        judge(*site(tmp_path / "site", origin.port))
    assert list(temporary.iterdir()) == []


def test_the_directory_of_the_service_manager_is_used(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As systemd names it."""
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "given"))
    with RawOrigin() as origin:
        judge(*site(tmp_path / "site", origin.port))
    assert [path.suffix for path in (tmp_path / "given").iterdir()] == [".crl-index"]
    assert list(temporary.iterdir()) == []
