"""Who removes an old CA first sees when anybody last came by it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from proxy.census import Census
from proxy.operate.demo.pki import Authority, Leaf
from tests.support.harness import RawOrigin
from tests.support.site import ZONE, required
from tests.support.stage import Stage, stage

NAME = "originward_anchor_last_used_timestamp_seconds"


@pytest.fixture
def on_stage(tmp_path: Path) -> Iterator[Stage]:
    """Put a house up before an app that answers everything."""
    with RawOrigin() as origin, stage(tmp_path, origin.port) as made:
        yield made


def fingerprint(authority: Authority) -> str:
    """Return an anchor's fingerprint."""
    return authority.certificate.fingerprint(SHA256()).hex()


def last_used(stage: Stage, authority: Authority, bundle: str = "cdn") -> float:
    """Return what the metrics say of an anchor."""
    start = f'{NAME}{{bundle="{bundle}",fingerprint="{fingerprint(authority)}"'
    (line,) = [line for line in stage.house.metrics().splitlines() if line.startswith(start)]
    return float(line.rsplit(" ", 1)[1])


def test_a_handshake_is_a_use_of_the_anchor_it_leads_to(on_stage: Stage) -> None:
    """And of no other; the log's line names it, and a refused client is nobody."""
    before = time.time() - 1
    with on_stage.house.client(Authority.root("Other CA").issue(Leaf(subject="stranger"))) as client:
        assert client.read() == b""
    with on_stage.house.client(on_stage.cdn.issue(Leaf(subject="edge"))) as client:
        assert client.get("/", ZONE).status == 200
    line = on_stage.house.line("handshake.accepted")
    assert line["anchor"] == {
        "bundle": "cdn", "subject": "CN=CDN CA", "fingerprint": f"sha256:{fingerprint(on_stage.cdn)}",
    }
    assert before < last_used(on_stage, on_stage.cdn) < time.time() + 1
    assert last_used(on_stage, on_stage.other) == 0


def test_a_reload_forgets_no_use(on_stage: Stage) -> None:
    """Of the anchors that are still there; a new one begins at never."""
    with on_stage.house.client(on_stage.cdn.issue(Leaf(subject="edge"))) as client:
        assert client.get("/", ZONE).status == 200
    before = last_used(on_stage, on_stage.cdn)
    new = Authority.root("New CA")
    new.write(on_stage.folder / "new.pem")
    on_stage.publish(trust={"cdn": {"anchors": ["cdn.pem", "new.pem"]}})
    assert (last_used(on_stage, on_stage.cdn), last_used(on_stage, new)) == (before, 0)
    assert fingerprint(on_stage.other) not in on_stage.house.metrics()


def test_a_request_is_a_use_of_its_routes_bundle(on_stage: Stage) -> None:
    """The handshake was the first bundle's; without the second, the request would be refused."""
    trust = {"cdn": {"anchors": ["cdn.pem"]}, "api": {"anchors": ["cdn.pem", "other.pem"]}}
    on_stage.publish(trust=trust, hosts=on_stage.routes(required(), required("api", "/api/")))
    with on_stage.house.client(on_stage.cdn.issue(Leaf(subject="edge"))) as client:
        assert client.get("/", ZONE).status == 200
        assert last_used(on_stage, on_stage.cdn, "api") == 0
        assert client.get("/api/", ZONE).status == 200
        assert last_used(on_stage, on_stage.cdn, "api") > 0


def test_who_stays_is_a_use_for_as_long(on_stage: Stage) -> None:
    """A stream may be older than anybody's memory; the house looks at all that are open."""
    house = on_stage.house.house
    with on_stage.house.client(on_stage.cdn.issue(Leaf(subject="edge"))) as client:
        assert client.get("/", ZONE).status == 200
        (use,) = [use for use in house.metrics.anchor_uses.values() if use.at]
        use.at = 1.0
        house.census = Census()
        on_stage.house.wait(lambda: last_used(on_stage, on_stage.cdn) > 1.0)
