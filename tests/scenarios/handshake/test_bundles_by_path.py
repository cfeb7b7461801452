"""Different authorities for different paths of one host, with intermediates sent or anchored."""

from __future__ import annotations

import pytest

from proxy.operate.demo.pki import Credential, Leaf
from tests.support.harness import TlsClient
from tests.support.refusals import alert_of
from tests.support.site import Site, host

TWO = host("two")


def statuses(site: Site, credential: Credential, name: str, *paths: str) -> list[int]:
    """Ask for each path on one connection."""
    with TlsClient(site.proxy.port, name, credential).handshake() as client:
        return [client.get(path, name).status for path in paths]


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_each_authority_opens_its_own_path(site: Site, steps: int) -> None:
    """Partners get to /partners/, the CDN to /internal/, on connections that could be either's."""
    for root, expected in ((site.partners, [200, 403, 404]), (site.cdn, [403, 200, 404])):
        authority = root
        for step in range(steps):
            authority = authority.intermediate(f"step {step}")
        credential = authority.issue(Leaf(subject="somebody"))
        assert statuses(site, credential, TWO, "/partners/", "/internal/", "/elsewhere") == expected


def test_the_refusal_at_the_route_names_the_cause(site: Site) -> None:
    """The handshake was fine; the line says that this bundle does not know the issuer."""
    address = site.address()
    credential = site.partners.issue(Leaf(subject="a partner"))
    with TlsClient(site.proxy.port, TWO, credential, source=address).handshake() as client:
        response = client.get("/internal/", TWO)
        assert response.body == b"403 Forbidden\n"
        assert "untrusted" not in str(response.fields)
    line = site.line("request.refused", address)
    assert (line["reason"], line["route"], line["client_subject"]) == ("untrusted-issuer", "/internal/", "CN=a partner")


def test_a_stranger_to_both_is_refused_in_the_handshake(site: Site) -> None:
    """No route of the host could admit it."""
    with TlsClient(site.proxy.port, TWO, site.rogue.issue(Leaf(subject="rogue"))) as client:
        assert alert_of(client) == "unknown_ca"


@pytest.mark.parametrize("sent", [True, False], ids=["sent", "not sent"])
def test_an_intermediate_may_be_the_anchor(site: Site, sent: bool) -> None:
    """Its leaves are admitted, whether they bring it along or not."""
    leaf = site.issuing.issue(Leaf(subject="edge"))
    credential = leaf if sent else Credential(leaf.certificate, leaf.key, ())
    assert statuses(site, credential, host("issuing"), "/") == [200]


def test_the_root_above_an_anchored_intermediate_admits_nobody(site: Site) -> None:
    """The bundle is what it says, not what is above it."""
    with TlsClient(site.proxy.port, host("issuing"), site.cdn.issue(Leaf(subject="edge"))) as client:
        assert alert_of(client) == "unknown_ca"


def test_a_root_and_an_intermediate_below_it_can_be_the_anchors_of_two_routes(site: Site) -> None:
    """OpenSSL ends the chain at the lower anchor; what was sent for the rest of the way leads on to the other."""
    credential = site.issuing.issue(Leaf(subject="edge"))
    assert len(credential.intermediates) == 2
    assert statuses(site, credential, host("nested"), "/", "/root/") == [200, 200]
