"""After a change the connections that are no longer admitted are closed, and the others notice nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from proxy.operate.demo.pki import Credential, Leaf, Window
from tests.support.harness import RawOrigin, TlsClient
from tests.support.site import TLS, ZONE, public, required
from tests.support.stage import Stage, stage


@pytest.fixture
def on_stage(tmp_path: Path) -> Iterator[Stage]:
    """Put a house up before an app that answers everything."""
    with RawOrigin() as origin, stage(tmp_path, origin.port) as made:
        yield made


def asked(client: TlsClient) -> TlsClient:
    """Let a client ask once: then its connection is open, and idle."""
    assert client.get("/", ZONE).status == 200
    return client


def change_crl(stage: Stage, gone: Credential) -> None:
    """Revoke a client."""
    stage.revoke(gone)
    stage.publish()


def change_anchors(stage: Stage, _gone: Credential) -> None:
    """Take the first authority's anchor away."""
    stage.publish(trust={"cdn": {"anchors": ["other.pem"]}})


def change_policy(stage: Stage, _gone: Credential) -> None:
    """Ask for a name that only the second authority's clients have."""
    stage.publish(hosts=stage.routes(required(san_dns=["stays.example"])))


CHANGES: Mapping[str, tuple[Callable[[Stage, Credential], None], str]] = {
    "revoked": (change_crl, "revoked"),
    "anchor removed": (change_anchors, "untrusted-issuer"),
    "policy tightened": (change_policy, "name-not-allowed"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_idle_connections_go_at_once_and_only_those(change: str, on_stage: Stage) -> None:
    """Ten of one identity are closed in good order; forty of four others go on on the same connections."""
    house = on_stage.house
    make_change, reason = CHANGES[change]
    goes = on_stage.cdn.issue(Leaf(subject="goes"))
    stays = [on_stage.other.issue(Leaf(subject=f"stays {n}", dns=("stays.example",))) for n in range(4)]
    with ExitStack() as stack:
        closing = [asked(stack.enter_context(house.client(goes))) for _ in range(10)]
        staying = [asked(stack.enter_context(house.client(who))) for who in stays for _ in range(10)]
        make_change(on_stage, goes)
        for client in closing:
            assert client.read() == b""
            assert client.closed
        for client in staying:
            asked(client)
        house.wait(lambda: len(house.lines("connection.withdrawn")) == 10)
        line = house.line("connection.withdrawn")
        assert (line["reason"], line["generation"], line["action"]) == (reason, 2, "closed")
        assert line["certificate"]["subject"] == "CN=goes"
        assert len({line["conn"] for line in house.lines("connection.withdrawn")}) == 10
        assert f'originward_connections_withdrawn_total{{reason="{reason}"}} 10.0' in house.metrics()
    if change == "revoked":
        assert line["revocation"][0]["crl_number"] == "2"


def test_a_certificate_that_ends_closes_its_idle_connections(on_stage: Stage) -> None:
    """Nobody asks for anything, and nothing is published: the clock alone does it."""
    window = Window.around_now(timedelta(hours=1), timedelta(seconds=2))
    goes = on_stage.cdn.issue(Leaf(subject="goes", window=window))
    stays = on_stage.cdn.issue(Leaf(subject="stays"))
    with on_stage.house.client(goes) as closing, on_stage.house.client(stays) as staying:
        asked(closing)
        asked(staying)
        assert closing.read() == b""
        assert closing.closed
        asked(staying)
    line = on_stage.house.line("connection.withdrawn")
    assert (line["reason"], line["generation"]) == ("expired", 1)


def test_a_host_that_is_gone_has_no_connections(on_stage: Stage) -> None:
    """Nothing says any more who might be there."""
    with on_stage.house.client(on_stage.cdn.issue(Leaf(subject="edge"))) as client:
        asked(client)
        on_stage.publish(hosts=[{"names": ["else.test"], "certificate": TLS, "routes": [required()]}])
        assert client.read() == b""
    assert on_stage.house.line("connection.withdrawn")["reason"] == "unknown-host"


def test_who_showed_no_certificate_goes_where_one_is_required_now(tmp_path: Path) -> None:
    """A handshake could not be made up for; it takes a new one."""
    with RawOrigin() as origin, stage(tmp_path, origin.port, public()) as made:
        with made.house.client(None) as client:
            asked(client)
            made.publish(hosts=made.routes(required()))
            assert client.read() == b""
        assert made.house.line("connection.withdrawn")["reason"] == "no-certificate"


def test_nobody_goes_where_certificates_are_not_looked_at_any_more(on_stage: Stage) -> None:
    """Also those whom the old rules would refuse by now; their identity is not passed on any more."""
    client_of = on_stage.cdn.issue(Leaf(subject="edge"))
    with on_stage.house.client(client_of) as client:
        asked(client)
        on_stage.revoke(client_of)
        on_stage.publish(hosts=on_stage.routes(public()))
        asked(client)
    assert not on_stage.house.lines("connection.withdrawn")


def test_the_counters_go_on(on_stage: Stage) -> None:
    """A reload is no restart; a route that is gone is not shown any more."""
    with on_stage.house.client(on_stage.cdn.issue(Leaf(subject="edge"))) as client:
        asked(client)
        on_stage.publish(hosts=on_stage.routes(required(), public("/public/")))
        asked(client)
        page = on_stage.house.metrics()
        assert f'originward_requests_total{{code_class="2xx",host="{ZONE}",route="/"}} 2.0' in page
        assert 'route="/public/"' in page
        assert "originward_config_generation 2.0" in page
        on_stage.publish(hosts=on_stage.routes(required()))
        assert 'route="/public/"' not in on_stage.house.metrics()


def test_the_limits_are_those_in_force(on_stage: Stage) -> None:
    """A third connection is too many from now on; the two that are open stay."""
    edge = on_stage.cdn.issue(Leaf(subject="edge"))
    with on_stage.house.client(edge) as one, on_stage.house.client(edge) as two:
        asked(one)
        asked(two)
        on_stage.publish(limits={"connections": 2})
        with on_stage.house.client(edge) as three:
            assert three.error is not None
        asked(one)
        asked(two)
