"""san_uri: URIs, segment by segment."""

from __future__ import annotations

import pytest

from proxy.decide.peer.policy.san_uri import SanUri
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, identity_of, make_leaf

_ANY = "spiffe://corp/**"


@pytest.mark.parametrize(
    ("pattern", "uri", "admitted"),
    [
        ("spiffe://corp/cdn/edge", "spiffe://corp/cdn/edge", True),
        ("spiffe://corp/cdn/edge", "SPIFFE://CORP/cdn/edge", True),
        ("spiffe://Corp/cdn/edge", "spiffe://corp/cdn/edge", True),
        ("spiffe://corp/cdn/edge", "spiffe://corp/CDN/edge", False),
        ("spiffe://corp/cdn/edge", "spiffe://corp/cdn/edge/x", False),
        ("spiffe://corp/cdn/edge", "spiffe://corp/cdn/edge/", False),
        ("spiffe://corp/cdn", "spiffe://corp/cdnx", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/edge", True),
        ("spiffe://corp/cdn/*", "spiffe://CORP/cdn/edge", True),
        ("spiffe://corp/cdn/*", "spiffe://corp/CDN/edge", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/a/b", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/..", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/.", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/...", True),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/%2e%2e", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/a%2Fb", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/*", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/a?b", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/a#b", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/a\\b", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/a\0", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/a\n", False),
        ("spiffe://corp/cdn/*", "spiffe://corp/cdn/é", False),
        ("spiffe://corp/cdn/*", "spiffe://evil/cdn/a", False),
        ("spiffe://corp/cdn/*", "spiffe://corp:80/cdn/a", False),
        ("spiffe://corp/cdn/*", "spiffe://x@corp/cdn/a", False),
        ("spiffe://corp/cdn/*", "xspiffe://corp/cdn/a", False),
        ("spiffe://corp/cdn/edge-*", "spiffe://corp/cdn/edge-1", True),
        ("spiffe://corp/cdn/edge-*", "spiffe://corp/cdn/edge-", False),
        ("spiffe://corp/cdn/.*", "spiffe://corp/cdn/..", False),
        ("spiffe://corp/cdn/.*", "spiffe://corp/cdn/.a", True),
        ("spiffe://corp/*/edge", "spiffe://corp/cdn/edge", True),
        ("spiffe://corp/*/edge", "spiffe://corp/a/b/edge", False),
        (_ANY, "spiffe://corp", True),
        (_ANY, "spiffe://corp/a", True),
        (_ANY, "spiffe://corp/a/b/c", True),
        (_ANY, "spiffe://corp/a/../b", False),
        (_ANY, "spiffe://corp/a//b", False),
        (_ANY, "spiffe://corp/a/", False),
        (_ANY, "spiffe://corp/a/%2e%2e/b", False),
        (_ANY, "spiffe://corpx/a", False),
        (_ANY, "spiffe://corp.evil/a", False),
        ("spiffe://corp/cdn/**", "spiffe://corp/cdn/../x", False),
        ("spiffe://corp/**/edge", "spiffe://corp/edge", True),
        ("spiffe://corp/**/edge", "spiffe://corp/a/b/edge", True),
        ("spiffe://corp/**/edge", "spiffe://corp/a/b/edgex", False),
        ("spiffe://*.corp/a", "spiffe://eu.corp/a", True),
        ("spiffe://*.corp/a", "spiffe://x.eu.corp/a", False),
        ("https://corp:8443/*", "https://corp:8443/a", True),
        ("https://corp:8443/*", "https://corp/a", False),
        ("urn:uuid:f81d4fae", "URN:uuid:f81d4fae", True),
        ("urn:uuid:f81d4fae", "urn:UUID:f81d4fae", False),
        ("https://corp/a%20b?c=d", "https://corp/a%20b?c=d", True),
        ("spiffe://corp/**/a/**", "", None),
        ("spiffe://corp/a**", "", None),
        ("spiffe://corp/***", "", None),
        ("spiffe://corp/*a*", "", None),
        ("spiffe://*/a", "", None),
        ("spiffe://**/a", "", None),
        ("spiffe://corp:*/a", "", None),
        ("spiffe://corp/../*", "", None),
        ("spiffe://corp//*", "", None),
        ("spiffe://corp/*/", "", None),
        ("spiffe://corp/%41/*", "", None),
        ("spiffe://corp/*?x", "", None),
        ("spi*://corp/a", "", None),
        ("urn:uuid:*", "", None),
        ("corp/cdn", "", None),
        ("*", "", None),
        ("**", "", None),
        ("", "", None),
        ("spiffe://corp/a b", "", None),
        ("spiffe://corp/é", "", None),
        ("spiffe://corp/(a|b)*", "", None),
    ],
)
def test_patterns(pattern: str, uri: str, admitted: bool | None) -> None:
    """A pattern admits a URI, refuses it, or is no pattern (None)."""
    if admitted is None:
        with pytest.raises(ValueError, match=r"write|not belong|wildcard|segment|port|form"):
            SanUri.from_setting([pattern])
        return
    refusal = SanUri.from_setting([pattern]).judge(identity_of(make_leaf(None, uris=[uri])), NOW)
    assert (refusal is None) is admitted


def test_other_names_are_not_uris() -> None:
    """A DNS name or a common name that looks like a URI is none."""
    leaf = make_leaf(None, "spiffe://corp/a", dns=["spiffe://corp/a"], emails=["spiffe://corp/a"])
    refusal = SanUri.from_setting(["spiffe://corp/a"]).judge(identity_of(leaf), NOW)
    assert refusal is not None
    assert refusal.reason is Reason.NAME_NOT_ALLOWED
    assert refusal.detail == "URIs [] (the certificate has none); the rule allows [spiffe://corp/a]"


def test_it_says_what_it_asks() -> None:
    """In one line."""
    assert str(SanUri.from_setting([_ANY])) == "a URI in [spiffe://corp/**]"
