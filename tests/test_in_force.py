"""What is in force: a client's grant on a route is made once, and never outlives its permit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.decide.facts import read_certificate
from proxy.decide.peer.chain import Peer, peer_of
from proxy.decide.verdict import Refused
from proxy.in_force import Grant, InForce
from proxy.observe.metrics import Metrics
from proxy.operate.demo.pki import Authority, Credential, Leaf
from proxy.snapshot.load import load
from tests.support.site import optional, public, required, small_site


class Desk:
    """A snapshot in force, without sockets, and clients for it."""

    def __init__(self, folder: Path, **sections: object) -> None:
        config, self.cdn = small_site(
            folder,
            9,
            required(san_dns=["edge.example"]),
            {**required(san_dns=["edge.example"]), "path": "/other/"},
            optional("/maybe/"),
            public("/public/"),
            **sections,
        )
        self.now = _start(self.cdn)
        self.snapshot = load(config, 1, self.now)
        self.loop = asyncio.new_event_loop()
        self.metrics = Metrics()
        self.force = InForce(self.snapshot, self.metrics, self.loop)

    def grant(self, path: str, peer: Peer | None, now: float | None = None) -> Grant | Refused:
        """Ask for a grant at the route that covers ``path``."""
        route = self.snapshot.hosts.hosts[0].route(path)
        assert route is not None
        return self.force.grant(route, peer, self.now if now is None else now)

    def edge(self, name: str = "edge.example") -> Peer:
        """Make a client."""
        return _peer(self.cdn.issue(Leaf(subject=name, dns=(name,))))


def _start(cdn: Authority) -> float:
    """Return a time at which new certificates are valid."""
    return cdn.issue(Leaf(subject="any")).certificate.not_valid_before_utc.timestamp() + 60


def _peer(credential: Credential) -> Peer:
    return peer_of(read_certificate(cert.public_bytes(Encoding.DER)) for cert in credential.chain)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Make a desk that remembers few verdicts."""
    made = Desk(tmp_path, limits={"cached_verdicts": 16})
    yield made
    made.loop.close()


def test_a_grant_is_made_once_for_a_client_and_a_route(desk: Desk) -> None:
    """Its headers are stamped once, however many connections and requests share it."""
    edge = desk.edge()
    first = desk.grant("/", edge)
    assert isinstance(first, Grant)
    assert desk.grant("/else", edge) is first
    assert desk.grant("/maybe/", edge) is not first
    assert first.by_certificate
    assert first.identity.startswith(b"Client-Cert: :MII")
    assert first.permit.identity is not None
    assert first.permit.identity.leaf is edge.leaf


def test_the_routes_of_a_gate_share_what_is_stamped(desk: Desk) -> None:
    """Thousands of routes that know a client alike cost no more than one."""
    edge = desk.edge()
    here, there, maybe = (desk.grant(path, edge) for path in ("/", "/other/", "/maybe/"))
    assert isinstance(here, Grant)
    assert isinstance(there, Grant)
    assert isinstance(maybe, Grant)
    assert here is not there
    assert here.identity is there.identity
    assert maybe.identity is not here.identity
    assert desk.grant("/other/", desk.edge()) is not there


def test_another_client_has_another_grant(desk: Desk) -> None:
    """Same names, same issuer, another key: another identity."""
    one, other = desk.grant("/", desk.edge()), desk.grant("/", desk.edge())
    assert isinstance(one, Grant)
    assert isinstance(other, Grant)
    assert one.identity != other.identity


def test_a_grant_ends_with_its_permit(desk: Desk) -> None:
    """The certificate's last second is the grant's."""
    edge = desk.edge()
    grant = desk.grant("/", edge)
    assert isinstance(grant, Grant)
    assert grant.until == edge.leaf.not_after
    after = desk.grant("/", edge, edge.leaf.not_after + 1)
    assert isinstance(after, Refused)
    assert after.reason == "expired"


def test_who_is_refused_gets_none(desk: Desk) -> None:
    """Also after somebody else was granted the same route."""
    desk.grant("/", desk.edge())
    refused = desk.grant("/", desk.edge("other.example"))
    assert isinstance(refused, Refused)
    assert refused.reason == "name-not-allowed"
    nobody = desk.grant("/", None)
    assert isinstance(nobody, Refused)
    assert nobody.reason == "no-certificate"


@pytest.mark.parametrize("path", ["/maybe/", "/public/"])
def test_nobody_in_particular_has_a_grant_without_identity(path: str, desk: Desk) -> None:
    """Where the route does without."""
    grant = desk.grant(path, None)
    assert isinstance(grant, Grant)
    assert (grant.identity, grant.by_certificate, grant.permit.identity) == (b"", False, None)


def test_a_public_route_does_not_look_at_who_it_is(desk: Desk) -> None:
    """A certificate there is not even an identity."""
    grant = desk.grant("/public/", desk.edge())
    assert isinstance(grant, Grant)
    assert (grant.identity, grant.by_certificate) == (b"", False)


def test_the_number_of_grants_is_bounded(desk: Desk) -> None:
    """A fleet of clients does not fill the memory; the oldest is made again."""
    first_peer = desk.edge()
    first = desk.grant("/", first_peer)
    for _ in range(20):
        assert isinstance(desk.grant("/", desk.edge()), Grant)
    assert len(desk.force._grants) == 16
    again = desk.grant("/", first_peer)
    assert again is not first
    assert isinstance(again, Grant)


def test_every_route_and_upstream_is_counted_from_the_start(desk: Desk) -> None:
    """A dashboard shows zeros, not gaps."""
    assert set(desk.metrics.routes) == {("origin.test", path) for path in ("/", "/other/", "/maybe/", "/public/")}
    assert set(desk.metrics.upstreams) == {"app"}
