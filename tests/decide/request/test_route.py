"""Routes and hosts: the longest path wins, exact names win, and TLS and HTTP normalise alike."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.request.route import MAX_NAME, ClientCertificate, Host, HostTable, Route, normalise_host


def make_route(path: str, wanted: ClientCertificate = ClientCertificate.NONE) -> Route:
    """Make a route that differs from others by its path only."""
    return Route(path, wanted, None, "app")


def make_host(*paths: str) -> Host:
    """Make a host with these routes."""
    return Host(("a.example",), tuple(map(make_route, paths)))


def path_of(host: Host, path: str) -> str | None:
    """Return the path of the route that covers ``path``."""
    route = host.route(path)
    return None if route is None else route.path


@pytest.mark.parametrize(
    ("path", "covered_by"),
    [
        ("/", "/"),
        ("/x", "/"),
        ("/partners", "/partners/"),
        ("/partners/", "/partners/"),
        ("/partners/x/y/z", "/partners/"),
        ("/partnersx", "/"),
        ("/Partners/", "/"),
        ("/partners/eu", "/partners/eu"),
        ("/partners/eu/", "/partners/eu"),
        ("/partners/eu/x", "/partners/eu"),
        ("/partners/europe", "/partners/"),
        ("/partners//eu", "/partners/"),
        ("//partners/", "/"),
    ],
)
def test_the_longest_path_that_covers_a_request_wins(path: str, covered_by: str) -> None:
    """A path ends at a segment's boundary, with or without its final slash."""
    assert path_of(make_host("/", "/partners/", "/partners/eu"), path) == covered_by


@pytest.mark.parametrize("path", ["/", "/b", "/ab", "/A", "//a", ""])
def test_what_no_route_covers_has_none(path: str) -> None:
    """There is no implied route."""
    assert path_of(make_host("/a", "/b/c/"), path) is None


def test_ten_thousand_routes_are_told_apart() -> None:
    """Whatever their number and depth, the answer is that of comparing them all."""
    numbers = random.Random(7)  # noqa: S311 - a repeatable choice, no secret
    paths = {"/" + "/".join(f"s{numbers.randrange(40)}" for _ in range(numbers.randrange(1, 6))) for _ in range(12_000)}
    paths = set(sorted(paths)[:10_000])
    host = make_host(*paths)
    for _ in range(2_000):
        asked = "/" + "/".join(f"s{numbers.randrange(40)}" for _ in range(numbers.randrange(1, 9)))
        above = (asked.rsplit("/", depth)[0] for depth in range(asked.count("/")))
        assert path_of(host, asked) == next((path for path in above if path in paths), None)


def test_a_path_of_a_hundred_thousand_segments_is_looked_up_by_the_depth_of_the_routes() -> None:
    """A client chooses its path's length; how many look-ups it costs is the configuration's."""
    assert path_of(make_host("/", "/a/b"), "/a/b" + "/x" * 100_000) == "/a/b"


_REQUIRED, _OPTIONAL, _NONE = ClientCertificate.REQUIRED, ClientCertificate.OPTIONAL, ClientCertificate.NONE


@pytest.mark.parametrize(
    ("wanted", "asks", "requires"),
    [
        ((_REQUIRED, _REQUIRED), True, True),
        ((_REQUIRED, _OPTIONAL), True, False),
        ((_REQUIRED, _NONE), True, False),
        ((_OPTIONAL,), True, False),
        ((_NONE, _NONE), False, False),
    ],
)
def test_a_host_asks_for_what_its_routes_want(
    wanted: tuple[ClientCertificate, ...], asks: bool, requires: bool
) -> None:
    """It insists only where every route does, and is silent where none wants a certificate."""
    host = Host(("a.example",), tuple(make_route(f"/{place}", kind) for place, kind in enumerate(wanted)))
    assert (host.asks, host.requires) == (asks, requires)


_EXACT = Host(("www.a.example", "a.example"), (make_route("/"),))
_WILD = Host(("*.a.example",), (make_route("/"),))
_DEEP = Host(("*.b.a.example",), (make_route("/"),))
_DEFAULT = Host(("fallback.example",), (make_route("/"),), is_default=True)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("a.example", _EXACT),
        ("www.a.example", _EXACT),
        ("x.a.example", _WILD),
        ("b.a.example", _WILD),
        ("x.b.a.example", _DEEP),
        ("x.y.a.example", None),
        ("example", None),
        ("xa.example", None),
        ("*.a.example", _WILD),
        ("", None),
        (None, None),
    ],
)
def test_exact_names_win_and_a_wildcard_is_one_label(name: str | None, host: Host | None) -> None:
    """What is found nowhere is nobody, or the default host where there is one."""
    assert HostTable((_WILD, _EXACT, _DEEP)).find(name) is host
    assert HostTable((_WILD, _EXACT, _DEEP, _DEFAULT)).find(name) is (host or _DEFAULT)


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("example.com:8443", "example.com"),
        ("EXAMPLE.com.:443", "example.com"),
        ("example.com:", "example.com"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("[::1]", "[::1]"),
        ("_dmarc.example", "_dmarc.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_host_name_has_one_normal_form(name: str, normal: str) -> None:
    """Case, final dot and port do not matter."""
    assert normalise_host(name) == normal


@pytest.mark.parametrize(
    "name",
    [
        "", ".", ":443", "a..b", ".a", "a..", "-a.example", "a-.example", "a b", "a/b", "a\\b", "a@b", "a,b", "a\x00b",
        "a\n", "a\t",
        "caf\xe9.example", "*.example", "a:b", "a:80:80", "a:123456", "::1", "[::1", "::1]", "[]", "[a b]", "[::1]x",
        "[fe80::1%eth0]",
        "a" * 64 + ".example", ".".join(["a" * 60] * 5), "http://a", "a#", "a?",
    ],
)  # fmt: skip
def test_what_is_no_host_name_has_no_normal_form(name: str) -> None:
    """None is never equal to an SNI."""
    assert normalise_host(name) is None


_LABEL = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,8}[a-z0-9_])?", fullmatch=True)
_NAME = st.lists(_LABEL, min_size=1, max_size=5).map(".".join)


@given(_NAME, st.randoms(use_true_random=False), st.booleans(), st.sampled_from(["", ":", ":443", ":65535"]))
def test_sni_and_host_meet_however_they_are_spelled(name: str, choose: random.Random, dot: bool, port: str) -> None:
    """The same host in any case, with a final dot, with a port."""
    spelled = "".join(choose.choice((letter.upper(), letter)) for letter in name) + "." * dot + port
    assert normalise_host(spelled) == normalise_host(name) == name


@given(st.one_of(st.text(max_size=300), st.text("aA0.-_:[]*", max_size=20), _NAME))
def test_normalising_twice_changes_nothing(text: str) -> None:
    """Whatever comes in, the result is in its normal form and bounded."""
    once = normalise_host(text)
    if once is not None:
        assert normalise_host(once) == once
        assert len(once) <= MAX_NAME


def test_routes_that_differ_in_case_only_are_told_apart() -> None:
    """The configuration says that its app minds; what is neither of them is still nobody's."""
    small, large, rest = (Route(path, ClientCertificate.NONE, None, "app") for path in ("/api/", "/API/", "/"))
    host = Host(("x.example",), (small, large, rest))
    assert host.route("/API/x") is large
    assert not host.misread("/API/x", large)
    assert not host.misread("/api/X", small)
    assert host.misread("/Api/x", rest)
