"""Addresses: the forms that are accepted, and the sentences for those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.snapshot.address import Address, parse_listen, parse_server

BASE = Path("/etc/o")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8443", Address("0.0.0.0", 8443)),
        ("[::]:8443", Address("::", 8443)),
        ("localhost:0", Address("localhost", 0)),
        ("127.0.0.1:65535", Address("127.0.0.1", 65535)),
    ],
)
def test_a_listen_address_is_read_and_written_alike(text: str, address: Address) -> None:
    """What was read is written as it was."""
    assert parse_listen(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", ":8443", "8443", "0.0.0.0", "0.0.0.0:", "0.0.0.0:65536", "0.0.0.0:-1", "::1:80",
     "[1.2.3.4]:80", "[fe80::1%eth0]:80",
     "origin.example.com:443", "256.0.0.1:80", "http://0.0.0.0:80", "0.0.0.0:80 ", "[::]8443", "[]:80", "0.0.0.0:٣"],
)  # fmt: skip
def test_a_bad_listen_address_is_refused(text: str) -> None:
    """Names are refused too: what they resolve to is not the configuration's to say."""
    with pytest.raises(ValueError, match=r"is not|no IPv6 address"):
        parse_listen(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://127.0.0.1:9000", Address("127.0.0.1", 9000)),
        ("http://app", Address("app", 80)),
        ("http://app.internal:8080", Address("app.internal", 8080)),
        ("http://[::1]:9000", Address("::1", 9000)),
        ("http://unix:/run/app.sock", Address("", 0, "/run/app.sock")),
        ("http://unix:run/app.sock", Address("", 0, "/etc/o/run/app.sock")),
    ],
)
def test_a_server_is_read(text: str, address: Address) -> None:
    """A Unix socket's path is relative to the configuration, like all paths."""
    assert parse_server(text, BASE) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://app:443", "https:// servers are not supported"),
        ("http://user:hunter2@app", "takes no user name"),
        ("http://app/", "takes no path"),
        ("http://app?q", "takes no query"),
        ("http://app#f", "takes no fragment"),
        ("app:9000", "is written http://host:port"),
        ("ftp://app", "is written http://host:port"),
        ("", "is written http://host:port"),
        ("http://", "is not http://host:port"),
        ("http://app:0", "a port from 1"),
        ("http://app:65536", "is not a port"),
        ("http://a b", "is written"),
        ("http://[::1", "is not"),
        ("http://unix:", "a Unix socket is written"),
        ("http://unix:/run/", "a Unix socket is written"),
        ("http://unix:/" + "x" * 120, "longer than the system's 107 octets"),
    ],
)
def test_a_bad_server_is_refused_without_repeating_a_password(text: str, words: str) -> None:
    """A URL may hold one, and errors end up in logs."""
    with pytest.raises(ValueError, match=words) as caught:
        parse_server(text, BASE)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        (Address("127.0.0.1", 1), True), (Address("127.9.9.9", 1), True), (Address("::1", 1), True),
        (Address("localhost", 1), True), (Address("", 0, "/run/x"), True),
        (Address("0.0.0.0", 1), False), (Address("::", 1), False), (Address("10.0.0.1", 1), False),
        (Address("app", 1), False),
    ],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(address: Address, loopback: bool) -> None:
    """All addresses at once are not loopback."""
    assert address.is_loopback is loopback


@given(st.text("htp:/[]unix.@#?0123456789af% -é", max_size=40))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    """Nothing else comes out of either parser."""
    for parse in (parse_listen, lambda text: parse_server(text, BASE)):
        try:
            assert isinstance(parse(text), Address)
        except ValueError as fault:
            assert str(fault)  # noqa: PT017 - either outcome is fine, an empty message is not
