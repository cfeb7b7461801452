"""DER: policy mappings, and what is none."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.der import read_policy_mappings

TWO = bytes.fromhex("3024 3010 0604551d2000 0608 2a864886f70d0305 3010 0608 2a864886f70d0305 06042a030405")


@pytest.mark.parametrize(
    ("der", "mappings"),
    [
        (TWO, (("2.5.29.32.0", "1.2.840.113549.3.5"), ("1.2.840.113549.3.5", "1.2.3.4.5"))),
        (b"\x30\x81\x24" + TWO[2:], (("2.5.29.32.0", "1.2.840.113549.3.5"), ("1.2.840.113549.3.5", "1.2.3.4.5"))),
        (bytes.fromhex("3009 3007 06010006028837"), (("0.0", "2.999"),)),
        (b"\x30\x00", ()),
    ],
)
def test_mappings_are_pairs(der: bytes, mappings: tuple[tuple[str, str], ...]) -> None:
    """With lengths in their short and long forms, and identifiers below all three top arcs."""
    assert read_policy_mappings(der) == mappings


@pytest.mark.parametrize(
    "der",
    [
        b"", b"\x30", b"\x30\x80\x00\x00", b"\x30\x84\x00\x00\x00\x00", b"\x30\x82\x01", b"\x31\x00",
        b"\x30\x00\x30\x00", TWO[:-1], TWO + b"\x00",
        bytes.fromhex("3005 3003 060100"), bytes.fromhex("3008 3006 0600 06022a03"),
        bytes.fromhex("3009 3007 06012a 06022a83"), bytes.fromhex("300a 3008 06012a 040106"),
        b"\x30\x47\x30\x45\x06\x01\x2a\x06\x40" + b"\x81" * 63 + b"\x01",
    ],
)  # fmt: skip
def test_what_is_no_row_of_pairs_is_refused(der: bytes) -> None:
    """Truncated, too long, of another type, with one identifier only, or with one that does not end."""
    with pytest.raises(ValueError, match=r"DER|unpack"):
        read_policy_mappings(der)


@given(st.binary(max_size=80))
def test_nothing_but_a_value_error_comes_of_it(der: bytes) -> None:
    """A stranger wrote it."""
    with suppress(ValueError):
        assert isinstance(read_policy_mappings(b"\x30" + bytes([len(der)]) + der), tuple)
