"""A host asks for a certificate where a route wants one, insists where all do, and is silent where none does."""

from __future__ import annotations

import pytest

from proxy.operate.demo.pki import Leaf
from tests.support.harness import TlsClient
from tests.support.messages import CERTIFICATE_REQUEST, Received
from tests.support.site import Site, host

VERSIONS = pytest.mark.parametrize("tls12", [True, False], ids=["1.2", "1.3"])


@VERSIONS
@pytest.mark.parametrize(("name", "asks"), [("public", False), ("mixed", True), ("required", True)])
def test_a_certificate_is_asked_for_where_a_route_wants_one(site: Site, name: str, asks: bool, tls12: bool) -> None:
    """A CDN drops the request when an origin asks for a certificate that it does not have: a public host does not."""
    received = Received()
    with TlsClient(site.proxy.port, host(name), tls12=tls12, prepare=received.watch).handshake():
        assert (CERTIFICATE_REQUEST in received.types) is asks


@VERSIONS
def test_the_request_names_the_authorities_of_all_routes(site: Site, tls12: bool) -> None:
    """A client with several certificates can choose."""
    credential = site.cdn.issue(Leaf(subject="edge"))
    with TlsClient(site.proxy.port, host("two"), credential, tls12=tls12).handshake() as client:
        assert {name.CN for name in client.tls.get_client_ca_list()} == {"CDN CA", "Partner CA"}


def test_a_public_host_ignores_who_the_client_is(site: Site) -> None:
    """A client that has a certificate is not asked for it, and the app hears nothing of it."""
    address = site.address()
    credential = site.rogue.issue(Leaf(subject="rogue"))
    with TlsClient(site.proxy.port, host("public"), credential, source=address).handshake() as client:
        assert client.get("/who", host("public"), Client_Cert=":AAAA:").status == 200
    assert site.seen("/who").header("client-cert") is None
    assert "certificate" not in site.line("handshake.accepted", address)


@VERSIONS
def test_a_mixed_host_tolerates_absence_until_the_route(site: Site, tls12: bool) -> None:
    """Without a certificate the public and the optional route answer, the others say 403 and log why."""
    address = site.address()
    with TlsClient(site.proxy.port, host("mixed"), tls12=tls12, source=address).handshake() as client:
        assert client.get("/public/", host("mixed")).status == 200
        assert client.get("/maybe/", host("mixed")).status == 200
        refused = client.get("/", host("mixed"))
        assert (refused.status, refused.body) == (403, b"403 Forbidden\n")
        assert client.get("/public/again", host("mixed")).status == 200
    line = site.line("request.refused", address)
    assert (line["reason"], line["route"], line["status"]) == ("no-certificate", "/", 403)


def test_a_mixed_host_takes_a_certificate_on_every_route(site: Site) -> None:
    """With one, each route answers."""
    with TlsClient(site.proxy.port, host("mixed"), site.cdn.issue(Leaf(subject="edge"))).handshake() as client:
        for path in ("/", "/maybe/", "/public/"):
            assert client.get(path, host("mixed")).status == 200
