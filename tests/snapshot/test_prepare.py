"""Preparing: what is sent on is plain, in parts, and says whether anything has changed."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared, PreparedBundle
from tests.support.certificates import NOW
from tests.support.furnish import furnished, write

TEXT = """\
listen: [{address: "127.0.0.1:0"}]
trust: {cdn: {anchors: [trust/]}}
upstreams: {app: {servers: ["http://127.0.0.1:9000"]}}
hosts:
  - names: [a.example]
    certificate: {chain: tls/a.pem, key: tls/a.key}
    routes: [{path: /, trust: cdn, upstream: app}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Make a good configuration with everything that it names."""
    return furnished(tmp_path, TEXT)


def test_hosts_and_bundles_come_in_packages(config: Path) -> None:
    """So that whoever gets a thousand of them can take one at a time."""
    prepared: Prepared = pickle.loads(pickle.dumps(prepare(config, NOW)))  # noqa: S301 - just written
    assert [host.config.names for host in prepared.unpack_hosts()] == [("a.example",)]
    assert [bundle.name for bundle in prepared.unpack_bundles()] == ["cdn"]
    assert prepared.frame.hosts == ()


def test_the_digest_is_that_of_all_files_and_their_names(config: Path) -> None:
    """A file more is a change, and so is a comment; being read again is none."""
    first = prepare(config, NOW).digest
    assert prepare(config, NOW).digest == first
    folder = config.parent / "trust"
    [anchor] = folder.iterdir()
    write(folder / "copy.pem", anchor.read_bytes())
    second = prepare(config, NOW).digest
    assert second != first
    (folder / "copy.pem").unlink()
    config.write_text(TEXT + "# a remark\n")
    assert prepare(config, NOW).digest not in {first, second}


def test_nothing_of_a_key_can_be_seen(config: Path) -> None:
    """Whoever prints it prints no secret."""
    prepared = prepare(config, NOW)
    [host] = prepared.unpack_hosts()
    for shown in (repr(prepared), repr(host)):
        assert repr(host.key)[2:-1] not in shown


def test_a_bundle_is_replaced_by_name(config: Path) -> None:
    """As a refreshed CRL asks for."""
    prepared = prepare(config, NOW)
    bundle = next(prepared.unpack_bundles())
    other: PreparedBundle = replace(bundle, anchors=())
    assert list(prepared.with_bundle(other).unpack_bundles()) == [other]
