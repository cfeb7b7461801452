"""san_dns: DNS names only, label by label."""

from __future__ import annotations

import pytest

from proxy.decide.peer.policy.san_dns import SanDns
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, identity_of, make_leaf


@pytest.mark.parametrize(
    ("pattern", "name", "admitted"),
    [
        ("a.example.com", "a.example.com", True),
        ("a.example.com", "A.Example.COM", True),
        ("A.EXAMPLE.COM", "a.example.com", True),
        ("a.example.com", "b.example.com", False),
        ("a.example.com", "aXexample.com", False),
        ("a.example.com", "a.example.com.", False),
        ("a.example.com", "a.example.com\0.evil", False),
        ("a.example.com", "a.example.com\n", False),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("*.example.com", "*.example.com", False),
        ("*.example.com", "a*.example.com", False),
        ("*.example.com", "ä.example.com", False),
        ("*.example.com", "a.example.com.evil", False),
        ("*.example.com", "evil\0.example.com", False),
        ("*.*.example.com", "a.b.example.com", True),
        ("a.*.example.com", "a.b.example.com", True),
        ("a.*.example.com", "a.b.c.example.com", False),
        ("web-*.example.com", "web-17.example.com", True),
        ("web-*.example.com", "web-.example.com", False),
        ("web-*.example.com", "web-*.example.com", False),
        ("web-*.example.com", "web-1.2.example.com", False),
        ("web-*", "web-1", True),
        ("*", "", None),
        ("*.*", "", None),
        ("example.*", "", None),
        ("**.example.com", "", None),
        ("a**.example.com", "", None),
        ("*a*.example.com", "", None),
        (".example.com", "", None),
        ("a..example.com", "", None),
        ("example.com.", "", None),
        ("", "", None),
        ("bücher.example", "", None),
        ("a b.example", "", None),
        ("https://a.example", "", None),
        ("a.example:443", "", None),
        ("(a|b).example", "", None),
        ("[ab].example", "", None),
        ("a?.example", "", None),
        ("^a.example$", "", None),
    ],
)
def test_patterns(pattern: str, name: str, admitted: bool | None) -> None:
    """A pattern admits a name, refuses it, or is no pattern (None)."""
    if admitted is None:
        with pytest.raises(ValueError, match=r"write|not belong|wildcard|whole segments"):
            SanDns.from_setting([pattern])
        return
    refusal = SanDns.from_setting([pattern]).judge(identity_of(make_leaf(None, dns=[name])), NOW)
    assert (refusal is None) is admitted


def test_any_name_with_any_pattern_will_do() -> None:
    """One of the certificate's names has to match one of the patterns."""
    rule = SanDns.from_setting(["x.example", "*.example"])
    assert rule.judge(identity_of(make_leaf(None, dns=["other.test", "b.example"])), NOW) is None


def test_other_names_are_not_dns_names() -> None:
    """Neither the common name nor a name of another type is looked at."""
    leaf = make_leaf(
        None, "a.example", uris=["a.example", "https://a.example"], emails=["a.example", "x@a.example"],
    )
    refusal = SanDns.from_setting(["a.example"]).judge(identity_of(leaf), NOW)
    assert refusal is not None
    assert refusal.reason is Reason.NAME_NOT_ALLOWED
    assert refusal.detail == "DNS names [] (the certificate has none); the rule allows [a.example]"


def test_issuers_have_no_say() -> None:
    """Identity is the leaf: the name of an issuer admits nobody."""
    named = make_leaf(None, dns=["a.example"])
    refusal = SanDns.from_setting(["a.example"]).judge(identity_of(make_leaf(None, dns=["b.example"]), named), NOW)
    assert refusal is not None
    assert refusal.detail == "DNS names [b.example]; the rule allows [a.example]"


def test_it_says_what_it_asks() -> None:
    """In one line, and for ever."""
    rule = SanDns.from_setting(["*.example", "b.test"])
    assert str(rule) == "a DNS name in [*.example, b.test]"
    assert rule.expires(identity_of(make_leaf(None))) == float("inf")
