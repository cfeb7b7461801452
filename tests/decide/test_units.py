"""Units: each unit means what it says, and nothing else is a unit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.units import OCTETS, SECONDS, parse_duration, parse_instant, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("30m", 1800), ("12h", 43200), ("90d", 7776000), ("0s", 0), ("5 m", 300)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    """Every unit of time counts its seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "octets"), [("512B", 512), ("32KiB", 32768), ("10MiB", 10485760), ("1GiB", 1073741824), ("0B", 0)],
)
def test_a_size_is_a_number_and_a_unit(text: str, octets: int) -> None:
    """Every unit of size counts its octets."""
    assert parse_size(text) == octets


_NEITHER: list[Any] = [
    "", "s", "B", "90", "1.5h", "-1s", "+1s", "1h30m", " 1s", "1s ", "1  s", "1s\n", "1e3s", "٣s", "1_0s", "0x1s",
    "9999999999999s", 90, 1.5, None, True, ["1s"], "1S", "1D", "1w", "1ms", "1kB", "1KB", "1kib", "1K",
]


@pytest.mark.parametrize("text", [*_NEITHER, "1B"])
def test_anything_else_is_no_duration(text: Any) -> None:
    """The error repeats what was written and says the expected form."""
    with pytest.raises(ValueError, match="is not a duration such as 15s, 30m, 12h or 90d"):
        parse_duration(text)


@pytest.mark.parametrize("text", [*_NEITHER, "1s", "1m"])
def test_anything_else_is_no_size(text: Any) -> None:
    """The error repeats what was written and says the expected form."""
    with pytest.raises(ValueError, match="is not a size such as 512B, 32KiB, 10MiB or 1GiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "unix"),
    [
        ("2027-01-01T00:00:00Z", 1798761600), ("2027-01-01T01:00:00+01:00", 1798761600),
        ("2026-12-31 19:00-05:00", 1798761600), ("2027-01-01T00:00:00.5Z", 1798761600.5),
    ],
)
def test_a_time_has_a_zone(text: str, unix: float) -> None:
    """With or without seconds, in any zone."""
    assert parse_instant(text) == unix


@pytest.mark.parametrize("text", ["2027-01-01T00:00:00", "2027-01-01 00:00"])
def test_a_time_without_a_zone_is_an_error(text: str) -> None:
    """It would mean another moment to each of its readers."""
    with pytest.raises(ValueError, match="has no time zone; add Z for UTC"):
        parse_instant(text)


@pytest.mark.parametrize(
    "text",
    ["", "2027-01-01", "20270101T000000Z", "2027-W01-1T00:00Z", "1999-01-01T00:00:00Z", "now", 20270101, None, True,
     "2027-13-01T00:00:00Z", "2027-02-30T00:00:00Z", "2027-01-01T25:00:00Z", "2027-01-01T00:00:00+25:00"],
)  # fmt: skip
def test_anything_else_is_no_time(text: Any) -> None:
    """Also a date that no calendar has."""
    with pytest.raises(ValueError, match=r"is not a time such as|must be|out of range|strictly between"):
        parse_instant(text)


@given(st.text())
def test_text_is_a_quantity_or_a_value_error(text: str) -> None:
    """No text does anything but parse or raise ValueError, with a message in ASCII."""
    for parse in (parse_duration, parse_instant, parse_size):
        try:
            assert parse(text) >= 0
        except ValueError as fault:
            message = str(fault)
        else:
            message = ""
        assert message.isascii()


@given(st.integers(0, 10**9), st.sampled_from(sorted(SECONDS)), st.sampled_from(sorted(OCTETS)))
def test_number_times_unit(number: int, second: str, octet: str) -> None:
    """The number multiplies its unit, exactly."""
    assert parse_duration(f"{number}{second}") == number * SECONDS[second]
    assert parse_size(f"{number}{octet}") == number * OCTETS[octet]
