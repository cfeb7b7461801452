"""Hosts: which addresses out of certificates may be asked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.decide.peer.hosts import Hosts, parse_host, place_of

LIST = Hosts(tuple(map(parse_host, ["ocsp.pki.example", "*.corp.example", "box:8080", "127.0.0.1:81", "[::1]:82"])))


@pytest.mark.parametrize(
    "url",
    [
        "http://ocsp.pki.example/", "https://ocsp.pki.example/x?y=z", "http://OCSP.pki.Example./", "http://a.corp.example",
        "http://ocsp.pki.example:80/", "https://ocsp.pki.example:443/", "http://box:8080/a", "https://box:8080/",
        "http://127.0.0.1:81/", "http://[::1]:82/",
    ],
)  # fmt: skip
def test_what_is_listed_may_be_asked(url: str) -> None:
    """By name, in any spelling of it, at the ports that are its scheme's or its entry's."""
    assert LIST.allows(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://pki.example/", "http://a.ocsp.pki.example/", "http://a.b.corp.example/", "http://corp.example/",
        "http://ocsp.pki.example:8080/", "https://ocsp.pki.example:80/", "http://box/", "http://127.0.0.1/",
        "ftp://ocsp.pki.example/", "ldap://ocsp.pki.example/", "file:///etc/passwd", "//ocsp.pki.example/", "", "http:",
        "http://", "http:///x", "http://user@ocsp.pki.example/", "http://ocsp.pki.example@evil.example/",
        "http://evil.example\\@ocsp.pki.example/", "http://evil.example\\.ocsp.pki.example/", "http://*.corp.example/",
        "http://ocsp.pki.example:99999/", "http://ocsp.pki.example:x/", "http://ocsp.pki.example /",
        "http://ocsp.pki.example/\r\nHost: x", "http://ocsp.pki.example/\x00", "http://öcsp.pki.example/",
        "http://ocsp.pki.example/" + "a" * 1024, "http://[::2]:82/", "http://[::1/", "http://a_b.other.example/",
    ],
)  # fmt: skip
def test_what_is_not_listed_may_not(url: str) -> None:
    """Nor what could be read in two ways."""
    assert not LIST.allows(url)


def test_an_empty_list_allows_nobody() -> None:
    """A certificate's word is not enough."""
    assert not Hosts().allows("http://ocsp.pki.example/")
    assert str(Hosts()) == "nobody"


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "a b", "http://x", "x/", "x:0", "x:65536", "x:", "a..b", "*.*.x", "user@x"]
)
def test_what_is_no_entry_says_what_one_looks_like(text: str) -> None:
    """In the words of the configuration."""
    with pytest.raises(ValueError, match="is not a host such as"):
        parse_host(text)


@pytest.mark.parametrize("text", ["ocsp.pki.example", "*.pki.example", "box:8080", "127.0.0.1", "[::1]:82"])
def test_an_entry_is_written_as_it_was_read(text: str) -> None:
    """For explain and for refusals."""
    assert str(parse_host(text)) == text


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_address_raises(text: str) -> None:
    """They are the issuers' text."""
    for url in (text, "http://" + text, "http://ocsp.pki.example" + text):
        place = place_of(url)
        assert place is None or place[0] in {"http", "https"}
        if LIST.allows(url):
            assert place is not None
            assert place[1] == "ocsp.pki.example" or place[1].endswith(".example")
