"""Field types: host names and route paths as they are compared, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.snapshot.fields import is_address, parse_host_name, parse_route_path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Origin.Example.COM", "origin.example.com"), ("origin.example.com.", "origin.example.com"),
        ("*.Example.com", "*.example.com"), ("localhost", "localhost"), ("a_b.example", "a_b.example"),
        ("10.0.0.1", "10.0.0.1"), ("[2001:DB8::1]", "[2001:db8::1]"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)  # fmt: skip
def test_a_host_name_is_kept_as_it_is_compared(text: str, name: str) -> None:
    """Case and a final dot make no difference."""
    assert parse_host_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "*.*.example.com", "a.*.example.com",
     "w*.example.com", "origin.example.com:443", "-a.example", "a..b",
     "b\u00fccher.example", "a b", "http://a", "a/b", "*.10.0.0.1", "[::ffff]:1", "[1.2.3.4]",
     "[::1", "2001:db8::1", "[0:0::1]",
     "*.[::1]", "a" * 64 + ".example", ".".join(["a" * 60] * 5)],
)  # fmt: skip
def test_what_is_no_host_name_is_refused(text: str) -> None:
    """A wildcard is one whole label in front; a port and a Unicode name are slips."""
    with pytest.raises(ValueError, match=r"is not|has no labels"):
        parse_host_name(text)


@pytest.mark.parametrize(
    ("name", "expected"), [("10.0.0.1", True), ("[::1]", True), ("a.example", False), ("1.2.3", False), ("*.a", False)],
)
def test_an_address_is_told_from_a_name(name: str, expected: bool) -> None:
    """Only an address never comes as SNI."""
    assert is_address(name) is expected


@pytest.mark.parametrize(
    "text", ["/", "/a", "/a/", "/a/b.c/", "/caf\u00e9/", "/...", "/.well-known/", "/a b", "/a,v=1", "/a:b@c"],
)
def test_a_plain_path_is_kept(text: str) -> None:
    """Also where it is not ASCII: requests are compared after decoding."""
    assert parse_route_path(text) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "starts with a slash"), ("a/", "starts with a slash"), ("//", "empty segment"), ("/a//b", "empty segment"),
        ("/./", "dot segments"), ("/a/..", "dot segments"), ("/../a", "dot segments"), ("/.", "dot segments"),
        ("/a?b", "no query"), ("/a#b", "no fragment"), ("/%41", "percent-encoding"), ("/a\\b", "backslash"),
        ("/a;v=1/b", "parameters"),
        ("/a\x00", "printable"), ("/\u202ea", "printable"), ("/a\u00a0b", "printable"),
    ],
)  # fmt: skip
def test_a_path_that_could_be_read_in_two_ways_is_refused(text: str, words: str) -> None:
    """The path that is authorised is the path that the app sees."""
    with pytest.raises(ValueError, match=words):
        parse_route_path(text)


@given(st.text(max_size=80))
def test_any_text_is_a_name_and_a_path_or_a_value_error(text: str) -> None:
    """A name that is accepted is its own normal form, so nothing changes by reading it twice."""
    for parse in (parse_host_name, parse_route_path):
        try:
            value = parse(text)
        except ValueError:
            continue
        assert parse(value) == value
