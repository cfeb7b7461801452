"""Paths: the one that is authorised is the one that the app sees, however the app reads it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.decide.request.admit import find_route
from proxy.decide.request.head import RequestHead, read_head
from proxy.decide.request.path import readings
from proxy.decide.request.route import ClientCertificate, Host, Route
from proxy.decide.verdict import Reason, Refused

ROUTES = ("/", "/admin/", "/admin/open", "/a", "/a/b/c", "/caf\u00e9/")
HOST = Host(("x.example",), tuple(Route(path, ClientCertificate.NONE, None, "app") for path in ROUTES))


def route_of(path: bytes) -> Route | Refused:
    """Route a raw path as a request's is."""
    paths = readings(path)
    if isinstance(paths, Refused):
        return paths
    head = read_head(b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n", 8)
    assert isinstance(head, RequestHead)
    head.paths = paths
    return find_route(head, HOST)


AMBIGUOUS = [
    "/..", "/.", "/a/../b", "/a/./b", "/a/..", "/a/.", "/../a", "//..", "/a//../b",
    "/%2e%2e/a", "/%2E%2E/a", "/.%2e/a", "/%2e./a", "/%2e", "/a/%2e/b", "/%252e%252e/a", "/%252e/a", "/%25%32%65/a",
    "/..;/a", "/..;x=y/a", "/.;/a", "/..%3b/a", "/%2e%2e%3bx/a", "/%2e%2e;/a", "/%252e%252e%253b/a",
    "/a%2fb", "/a%2Fb", "/a%252fb", "/%2fa", "/a%2f", "/a%2f../b",
    "/a\\b", "/a%5cb", "/a%5Cb", "/a%255cb", "/..\\a", "/..%5ca", "/%5c..",
    "/..%3fx", "/.%23", "/..%253f/a", "/a%00", "/a%00/b", "/%2500", "/..%00/", "/..%0a",
    "/.%09./a", "/a%0d%0ab", "/%7f", "/%2509",
    "/%c0%ae%c0%ae/a", "/a%c0%afb", "/a%c1%9cb", "/%e0%80%ae/a", "/%f0%80%80%ae/a", "/%25c0%25ae/a",
]  # fmt: skip


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_paths_with_more_than_one_meaning_are_refused(path: str) -> None:
    """Dot segments, encoded slashes, backslashes and NUL: plain, encoded once, or twice."""
    verdict = readings(path.encode())
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize("path", ["/%", "/%2", "/%zz", "/a%", "/%%41", "/%u0041", "/%-1"])
def test_percent_signs_that_encode_nothing_are_refused(path: str) -> None:
    """Some apps pass them on, some refuse, some guess."""
    verdict = readings(path.encode())
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.BAD_REQUEST


HARMLESS = [
    "/",
    "/a",
    "/a/",
    "/a.b",
    "/.well-known/x",
    "/...",
    "/a..b",
    "/a../b",
    "/..a",
    "/a/b.c/d",
    "/a,b:c@d!$&'()*+=~",
]


@pytest.mark.parametrize("path", HARMLESS)
def test_plain_paths_have_one_reading(path: str) -> None:
    """Dots within names are no segments."""
    assert readings(path.encode()) == (path,)


def test_the_readings_of_a_path_are_decoded_bare_and_merged() -> None:
    """The plainest first: percent signs decoded once."""
    assert readings(b"/caf%C3%A9//x;v=1/y") == (
        "/caf\u00e9//x;v=1/y",
        "/caf\u00e9//x/y",
        "/caf\u00e9/x;v=1/y",
        "/caf\u00e9/x/y",
    )
    twice = readings(b"/a%2541")
    assert twice == ("/a%41", "/aA")


@pytest.mark.parametrize(
    "path",
    [
        "/%2561dmin/", "/%61dmin%253bx/", "//admin/", "//%2561dmin/", "/admin;x/", "/admin%3bx/", "/admin%253bx",
        ";/admin",
        "/;x/admin", "/;x//admin/open", "/a/b;x/c", "//a/b/c", "/a//b/c", "/%61//b/%63%253b", "/caf%25C3%25A9/",
        "//x/admin/", "//x:80/admin", "//u@x/admin", "///x/admin", "//;y/admin/", "//%78/admin",
        "/admin%3fx", "/admin%23x", "/admin%253fx", "/admin%3f/b", "/a%3fx/y", "//x/admin%3fy",
        "/ADMIN/", "/Admin/x", "/aDMIN", "/%41dmin/", "/admin/OPEN", "/admin/Open/x", "//ADMIN",
        "/A", "/a/B/c", "/CAF%C3%89/x", "/caf%C3%89/",
    ],
)  # fmt: skip
def test_paths_whose_readings_lead_to_different_routes_are_refused(path: str) -> None:
    """An app that reads the path as another route's must not get it by this one."""
    verdict = route_of(path.encode())
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/%61dmin/", "/admin/"),
        ("/caf%c3%a9", "/caf\u00e9/"),
        ("/admin//x", "/admin/"),
        ("/x;y", "/"),
        ("/X", "/"),
        ("/admin/X", "/admin/"),
        ("//x/y", "/"),
        ("/x%3fadmin", "/"),
        ("/caf%c3%a9/%C3%80", "/caf\u00e9/"),
    ],
)
def test_other_spellings_of_one_route_pass(path: str, expected: str) -> None:
    """What every reading agrees on is not ambiguous."""
    route = route_of(path.encode())
    assert isinstance(route, Route)
    assert route.path == expected


def naive_readings(path: str) -> Iterator[str]:
    """Read a path in every way that apps are known to."""
    once = unquote(path)
    for decoded in (once, unquote(once)):
        for bare in (decoded, "/".join(segment.split(";")[0] for segment in decoded.split("/"))):
            for merged in (bare, re.sub("/+", "/", bare)):
                yield merged
                yield re.split("[?#]", merged)[0]
                if merged.startswith("//"):
                    yield urlsplit(re.split("[?#]", merged)[0].replace("[", "").replace("]", "")).path
                yield posixpath.normpath(merged) if merged else "/"


def naive_route(path: str) -> str:
    """Find the longest route that covers a path, segment by segment."""
    asked = path.lower().split("/")
    best = "/"
    for route in ROUTES:
        segments = route.rstrip("/").split("/")
        if asked[: len(segments)] == segments and len(route) > len(best):
            best = route
    return best


_PIECES = st.sampled_from(
    [
        "/", "//", "a", "b", "c", "admin", "open", "%61", "%2561", "dmin", ";", ";x", "%3b", "%253b", ".", "..", "%2e",
        "%252e", "%3f", "%23", "%253f", "A", "ADMIN",
        "%2f", "%252f", "\\", "%5c", "%255c", "%00", "%", "%25", "caf%c3%a9", "%25C3%25A9", "x", "\t", "%20", "%0a",
        "%09",
    ],
)  # fmt: skip


@given(st.lists(_PIECES, max_size=12).map(lambda pieces: "/" + "".join(pieces)))
@example("//admin%2561")
@example("/admin%253bx")
@example("//%2561dmin")
@example("/;%3f/a%3f")
def test_an_admitted_path_stays_on_its_route_in_every_reading(path: str) -> None:
    """Held against a model that knows nothing of the code."""
    route = route_of(path.encode())
    if isinstance(route, Refused):
        return
    for reading in naive_readings(path):
        assert naive_route(reading) == route.path, reading
        assert not {".", ".."} & {segment.split(";")[0] for segment in reading.split("/")}
        assert "\\" not in reading
        assert "\0" not in reading
        assert reading.rstrip("/").count("/") <= path.count("/")


@given(st.binary(max_size=60))
def test_any_octets_have_readings_or_a_refusal(raw: bytes) -> None:
    """Nothing is an exception, and every reading starts with a slash."""
    paths = readings(b"/" + raw)
    assert isinstance(paths, Refused) or all(path.startswith("/") for path in paths)
