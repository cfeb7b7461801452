"""The index: it answers as a dictionary would, in 25 MB per million entries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.peer.crl.index import MAX_SERIAL, TAIL, Entry, SerialIndex, build_index, tail_of

SERIALS = st.integers(-(1 << 8 * MAX_SERIAL - 1), (1 << 8 * MAX_SERIAL - 1) - 1) | st.integers(-300, 70_000)
ENTRIES = st.tuples(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 3, 4, 5, 6, 8, 9, 10]))


def record(serial: int, revoked_at: int = 0, reason: int = 0) -> bytes:
    """Make the record of an entry, as the walk does."""
    return serial.to_bytes(MAX_SERIAL, "big", signed=True) + tail_of(revoked_at, reason)


@given(st.dictionaries(SERIALS, ENTRIES, max_size=60), st.lists(SERIALS, max_size=20))
def test_it_finds_what_a_dictionary_finds(listed: dict[int, tuple[int, int]], others: list[int]) -> None:
    """Whatever the serials' size and sign."""
    index = build_index(record(serial, *entry) for serial, entry in listed.items())
    assert len(index) == len(listed)
    for serial in (*listed, *others):
        known = listed.get(serial)
        assert index.find(serial) == (None if known is None else Entry(float(known[0]), known[1]))


@pytest.mark.parametrize(("serial", "octets"), [(1, 1), (127, 1), (128, 2), (-128, 1), (-129, 2), ((1 << 159) - 1, 20)])
def test_a_record_is_as_wide_as_the_widest_serial_needs(serial: int, octets: int) -> None:
    """At most 20 octets and the tail."""
    index = build_index([record(1), record(serial)])
    assert len(bytes(index._records)) == 2 * (octets + TAIL)


def test_serials_of_other_widths_are_not_taken_for_one_another() -> None:
    """-1 and 255 are the same octet."""
    assert build_index([record(-1)]).find(255) is None
    assert build_index([record(255)]).find(-1) is None
    assert build_index([record(1)]).find(1 << 200) is None


def test_an_entry_that_revokes_comes_before_one_that_removes() -> None:
    """A serial that is listed twice is refused."""
    index = build_index([record(5, 10, 8), record(5, 20, 1), record(5, 30, 8)])
    assert index.find(5) == Entry(20.0, 1)


@pytest.mark.parametrize(("when", "kept"), [(-5, 0), (2**32, 2**32 - 1), (7, 7)])
def test_dates_outside_of_the_field_are_brought_into_it(when: int, kept: int) -> None:
    """1970 to 2106."""
    assert build_index([record(1, when)]).find(1) == Entry(float(kept), 0)


def test_an_index_can_lie_over_any_buffer_of_whole_records() -> None:
    """Such as a mapped file; half a record is an error."""
    whole = bytes(build_index([record(1), record(2)])._records)
    assert SerialIndex(memoryview(whole), 1).find(2) == Entry(0.0, 0)
    with pytest.raises(ValueError, match="no whole number of records"):
        SerialIndex(whole[:-1], 1)
