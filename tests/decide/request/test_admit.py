"""Admission: the host that TLS chose is the host that HTTP gets, and the route decides who comes in."""

from __future__ import annotations

import pytest

from proxy.decide.peer.chain import Bundle, Peer, peer_of
from proxy.decide.peer.gate import Gate
from proxy.decide.peer.verdicts import Verdicts
from proxy.decide.request.admit import check_host, find_route, permit
from proxy.decide.request.head import RequestHead, read_head
from proxy.decide.request.route import ClientCertificate, Host, HostTable, Route
from proxy.decide.verdict import Admitted, Reason, Refused
from tests.support.certificates import NOW, make_ca, make_leaf

_CDN, _ROGUE = make_ca("CDN"), make_ca("Rogue")
_GATE = Gate(Bundle("cdn", (_CDN.certificate,)))
_EDGE = peer_of([make_leaf(_CDN).certificate])
_STRANGER = peer_of([make_leaf(_ROGUE).certificate])

_REQUIRED = Route("/in", ClientCertificate.REQUIRED, _GATE, "app")
_OPTIONAL = Route("/maybe", ClientCertificate.OPTIONAL, _GATE, "app")
_NONE = Route("/public", ClientCertificate.NONE, None, "app")
_SHOP = Host(("shop.example", "*.shop.example"), (_REQUIRED, _OPTIONAL, _NONE), is_default=True)
_BLOG = Host(("blog.example",), (_NONE,))
_HOSTS = HostTable((_SHOP, _BLOG))


@pytest.mark.parametrize(
    ("field", "sni", "reason"),
    [
        (b"shop.example", "shop.example", None),
        (b"SHOP.Example.:8443", "shop.example", None),
        (b"shop.example:443", "shop.example", None),
        (b"blog.example", "shop.example", Reason.HOST_MISMATCH),
        (b"a.shop.example", "shop.example", Reason.HOST_MISMATCH),
        (b"b.shop.example", "a.shop.example", Reason.HOST_MISMATCH),
        (b"shop.example.evil", "shop.example", Reason.HOST_MISMATCH),
        (b"unknown.example", "shop.example", Reason.HOST_MISMATCH),
        (b"127.0.0.1", "shop.example", Reason.HOST_MISMATCH),
        (b"shop.example, blog.example", "shop.example", Reason.BAD_REQUEST),
        (b"shop.example/x", "shop.example", Reason.BAD_REQUEST),
        (b"user@shop.example", "shop.example", Reason.BAD_REQUEST),
        (b"\xe9.example", "shop.example", Reason.BAD_REQUEST),
        (b"", "shop.example", Reason.BAD_REQUEST),
        (b"shop.example", None, None),
        (b"unknown.example", None, None),
        (b"192.0.2.1:8443", None, None),
        (b"blog.example", None, Reason.HOST_MISMATCH),
        (b"a b", None, Reason.BAD_REQUEST),
    ],
)
def test_host_is_held_against_the_name_that_tls_chose(field: bytes, sni: str | None, reason: Reason | None) -> None:
    """Another name is misdirected, also one that the same host has; without SNI it must lead to the default host."""
    refusal = check_host(field, sni, _SHOP, _HOSTS)
    assert (None if refusal is None else refusal.reason) is reason


def make_head(*paths: str) -> RequestHead:
    """Make a head with these readings of its path."""
    head = read_head(b"GET %b HTTP/1.1\r\nHost: shop.example\r\n\r\n" % paths[0].encode(), 8)
    assert isinstance(head, RequestHead)
    head.paths = paths
    return head


def test_a_route_is_found_where_all_readings_agree() -> None:
    """One route, or none at all."""
    assert find_route(make_head("/in/x"), _SHOP) is _REQUIRED
    assert find_route(make_head("/in//x", "/in/x"), _SHOP) is _REQUIRED
    nowhere = find_route(make_head("/other"), _SHOP)
    assert isinstance(nowhere, Refused)
    assert nowhere.reason is Reason.NO_ROUTE


@pytest.mark.parametrize(
    "paths", [("/public/x", "/in/x"), ("/other", "/in"), ("/in", "/other"), ("/in", "/in", "/maybe")]
)
def test_readings_that_disagree_are_ambiguous(paths: tuple[str, ...]) -> None:
    """Also where one of them has no route."""
    verdict = find_route(make_head(*paths), _SHOP)
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize(
    ("route", "peer", "expected"),
    [
        (_REQUIRED, _EDGE, "edge"),
        (_REQUIRED, _STRANGER, Reason.UNTRUSTED_ISSUER),
        (_REQUIRED, None, Reason.NO_CERTIFICATE),
        (_OPTIONAL, _EDGE, "edge"),
        (_OPTIONAL, _STRANGER, Reason.UNTRUSTED_ISSUER),
        (_OPTIONAL, None, "nobody"),
        (_NONE, _EDGE, "nobody"),
        (_NONE, _STRANGER, "nobody"),
        (_NONE, None, "nobody"),
    ],
)
def test_a_route_admits_whom_it_is_for(route: Route, peer: Peer | None, expected: str | Reason) -> None:
    """A route without certificates has no identity to give, whoever comes."""
    verdict = permit(route, peer, Verdicts(16), NOW)
    if isinstance(verdict, Refused):
        assert verdict.reason is expected
    else:
        assert expected == ("nobody" if verdict.identity is None else "edge")
        assert verdict.identity is None or (peer is not None and verdict.identity.leaf is peer.leaf)


def test_details_are_escaped_and_bounded() -> None:
    """A client's own words reach the log as ASCII and not at full length."""
    refusal = check_host(b"\xff\x1b[2J" + b"a" * 5000, "shop.example", _SHOP, _HOSTS)
    assert refusal is not None
    assert refusal.detail.isascii()
    assert refusal.detail.isprintable()
    assert len(refusal.detail) < 400


def test_only_a_judge_makes_a_permit_that_names_somebody() -> None:
    """The permit's identity is the gate's."""
    verdict = permit(_REQUIRED, _EDGE, Verdicts(16), NOW)
    assert isinstance(verdict, Admitted)
    assert verdict.identity is not None
    assert verdict.identity.bundle == "cdn"
