"""DER: lengths and times, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.peer.crl.der import DerError, span, time_of


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"\x02\x01\x05", (2, 3)), (b"\x30\x81\x80" + bytes(128), (3, 131)), (b"\x30\x00", (2, 2))],
)
def test_a_span_is_where_the_contents_are(data: bytes, expected: tuple[int, int]) -> None:
    """Short and long forms."""
    assert span(data, 0, len(data)) == expected


@pytest.mark.parametrize(
    "data",
    [b"", b"\x02", b"\x02\x02\x05", b"\x30\x80\x00\x00", b"\x30\x81\x05" + bytes(5), b"\x30\x82\x00\x80" + bytes(128),
     b"\x30\x85\x01\x00\x00\x00\x00", b"\x30\x82\x01"],
)  # fmt: skip
def test_a_length_that_does_not_fit_or_is_not_the_shortest_is_an_error(data: bytes) -> None:
    """Indefinite ones too."""
    with pytest.raises(DerError):
        span(data, 0, len(data))


def test_another_tag_is_an_error() -> None:
    """Where one is expected."""
    with pytest.raises(DerError, match="unexpected value"):
        span(b"\x02\x01\x05", 0, 3, 0x30)


@pytest.mark.parametrize(
    ("value", "unix"),
    [(b"\x17\x0d700101000000Z", 0.0), (b"\x18\x0f20270115080000Z", 1_800_000_000.0),
     (b"\x17\x0d491231235959Z", 2524607999.0), (b"\x17\x0d500101000000Z", -631152000.0)],
)  # fmt: skip
def test_both_forms_of_a_time_are_read(value: bytes, unix: float) -> None:
    """RFC 5280, section 4.1.2.5: two digits are 1950 to 2049."""
    assert time_of(value) == unix


@pytest.mark.parametrize(
    "value",
    [b"\x17\x0b7001010000Z", b"\x17\x0d701301000000Z", b"\x17\x0d700101240000Z", b"\x17\x0d700101000000+",
     b"\x18\x0d700101000000Z", b"\x04\x0d700101000000Z", b"\x17\x0d70010100000aZ"],
)  # fmt: skip
def test_every_other_form_is_an_error(value: bytes) -> None:
    """Offsets, fractions, and days that there are none of."""
    with pytest.raises(DerError):
        time_of(value)


@given(st.binary(max_size=40))
def test_any_octets_are_a_span_within_or_an_error(data: bytes) -> None:
    """Nothing is read beyond the end."""
    try:
        start, end = span(data, 0, len(data))
    except DerError:
        return
    assert 2 <= start <= end <= len(data)
