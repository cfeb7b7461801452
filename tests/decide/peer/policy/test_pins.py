"""Pins: every spelling of the same digest, and nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.peer.policy.pins import Pin, parse_pin


@given(st.binary(min_size=32, max_size=32))
def test_all_spellings_are_one_pin(digest: bytes) -> None:
    """Hexadecimal in both cases, with colons as OpenSSL prints it, and base64 as curl writes it."""
    spellings = [
        f"sha256:{digest.hex()}",
        f"sha256:{digest.hex().upper()}",
        f"sha256:{digest.hex(':').upper()}",
        f"sha256:{base64.b64encode(digest).decode()}",
        f"sha256/{base64.b64encode(digest).decode()}",
    ]
    assert {parse_pin(spelling) for spelling in spellings} == {Pin(digest.hex())}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "ab" * 32,
        "sha1:" + "ab" * 20,
        "SHA256:" + "ab" * 32,
        "sha256:" + "ab" * 31,
        "sha256:" + "ab" * 33,
        "sha256:" + "ab" * 31 + "a",
        "sha256:" + "ab" * 31 + "zz",
        "sha256: " + "ab" * 32,
        "sha256:" + "ab" * 32 + "\n",
        "sha256:" + "A" * 44,
        "sha256//" + "A" * 43 + "=",
        "sha256:" + ":".join(["ab"] * 31),
    ],
)
def test_anything_else_is_an_error(text: str) -> None:
    """A pin with a slip in it would lock somebody out, and nobody would know why."""
    with pytest.raises(ValueError, match="is not a SHA-256 pin; write sha256: and 64 hexadecimal digits"):
        parse_pin(text)
