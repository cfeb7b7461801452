"""An anchor counts within its window, and both ends of it come by the clock: nothing is loaded, nothing published."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from proxy.operate.demo.pki import Authority, Credential, Leaf
from tests.support.harness import RawOrigin
from tests.support.site import ZONE, required
from tests.support.stage import Stage, stage

SOON = 1.5
"""Seconds until a window changes: enough for what comes before it, with other tests beside it."""


@pytest.fixture
def on_stage(tmp_path: Path) -> Iterator[Stage]:
    """Put a house up before an app that answers everything."""
    with RawOrigin() as origin, stage(tmp_path, origin.port) as made:
        yield made


def soon() -> str:
    """Write the time at which a window changes, to the microsecond."""
    return datetime.fromtimestamp(time.time() + SOON, UTC).isoformat()


def trust(*anchors: str | dict[str, str]) -> dict[str, Any]:
    """Return the one bundle with these anchors."""
    return {"cdn": {"anchors": list(anchors)}}


def refused(stage: Stage, client: Credential) -> str:
    """Let a client try, and return the alert that it gets."""
    with stage.house.client(client) as tried:
        assert tried.error is not None or tried.read() == b""
        return str(tried.error)


def test_an_open_connection_ends_with_its_anchors_window(on_stage: Stage) -> None:
    """Its neighbour of the other anchor goes on; who comes again is refused with the anchor's name and the date."""
    house = on_stage.house
    goes, stays = on_stage.cdn.issue(Leaf(subject="goes")), on_stage.other.issue(Leaf(subject="stays"))
    on_stage.publish(trust=trust("other.pem", {"file": "cdn.pem", "not_after": soon()}))
    with house.client(goes) as closing, house.client(stays) as staying:
        assert (closing.get("/", ZONE).status, staying.get("/", ZONE).status) == (200, 200)
        assert closing.read() == b""
        assert closing.closed
        assert staying.get("/", ZONE).status == 200
        line = house.line("connection.withdrawn")
        assert (line["reason"], line["action"], line["generation"]) == ("untrusted-issuer", "closed", 2)
        assert "anchor CN=CDN CA was trusted until 20" in line["detail"]
        assert "unknown ca" in refused(on_stage, goes)
        assert staying.get("/", ZONE).status == 200
    line = house.line("handshake.refused")
    assert (line["reason"], line["certificate"]["subject"]) == ("untrusted-issuer", "CN=goes")
    assert "anchor CN=CDN CA was trusted until 20" in line["detail"]
    assert len(house.lines("connection.withdrawn")) == 1


def test_a_refused_client_is_admitted_once_the_window_begins(on_stage: Stage) -> None:
    """The refusal says when that is, and no longer than that is it remembered."""
    house = on_stage.house
    early, begin = on_stage.cdn.issue(Leaf(subject="early")), soon()
    on_stage.publish(trust=trust("other.pem", {"file": "cdn.pem", "not_before": begin}))
    assert "unknown ca" in refused(on_stage, early)
    assert "anchor CN=CDN CA is trusted from 20" in house.line("handshake.refused")["detail"]

    def admitted() -> bool:
        if time.time() < datetime.fromisoformat(begin).timestamp():
            return False
        with house.client(early) as tried:
            return tried.error is None and tried.get("/", ZONE).status == 200

    house.wait(admitted)
    assert house.line("handshake.accepted")["certificate"]["subject"] == "CN=early"


def test_a_route_opens_on_a_connection_that_is_there_already(on_stage: Stage) -> None:
    """The connection came in by another route's bundle; its request for this one is refused, and later is not."""
    narrow = {"narrow": {"anchors": ["other.pem", {"file": "cdn.pem", "not_before": soon()}]}, **trust("cdn.pem")}
    routes = on_stage.routes(required(), required("narrow", "/narrow/"))
    on_stage.publish(trust=narrow, hosts=routes)
    with on_stage.house.client(on_stage.cdn.issue(Leaf(subject="edge"))) as client:
        assert client.get("/narrow/", ZONE).status == 403
        on_stage.house.wait(lambda: client.get("/narrow/", ZONE).status == 200)
    assert "anchor CN=CDN CA is trusted from 20" in on_stage.house.line("request.refused")["detail"]


def test_a_cross_certificate_counts_before_the_new_anchor_does(on_stage: Stage) -> None:
    """OpenSSL would end the chain at the new anchor, were it there; so it is not, and the old one admits the client."""
    new = Authority.root("New CA")
    new.write(on_stage.folder / "new.pem")
    cross = on_stage.cdn.intermediate("New CA", key=new.key)
    credential = new.issue(Leaf(subject="edge"))
    crossed = Credential(credential.certificate, credential.key, (cross.certificate,))
    begin = datetime.fromtimestamp(time.time() + 3600, UTC).isoformat()
    on_stage.publish(trust=trust("cdn.pem", {"file": "new.pem", "not_before": begin}))
    with on_stage.house.client(crossed) as client:
        assert client.get("/", ZONE).status == 200
    assert "unknown ca" in refused(on_stage, credential)
    on_stage.publish(trust=trust("cdn.pem", "new.pem"))
    with on_stage.house.client(credential) as client:
        assert client.get("/", ZONE).status == 200
