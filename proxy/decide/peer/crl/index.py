"""The index: the serials of a CRL as sorted records of one width, in one buffer that can also be a mapped file.

A record is the serial (two's complement, big-endian, padded to the index's width), the revocation date (Unix seconds,
4 octets) and the reason (1 octet): at most 25 MB for a million entries, and a search takes twenty comparisons.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_SERIAL: Final = 20
"""Octets of a serial number (RFC 5280, section 4.1.2.2)."""

TAIL: Final = 5
"""Octets of a record behind its serial: four of the date, one of the reason."""

REMOVE_FROM_CRL: Final = 8
_MAX_DATE: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A listed certificate: when it was revoked, in Unix seconds, and the CRLReason code."""

    revoked_at: float
    reason: int


class SerialIndex:
    """Looks serials up in ``buffer``: sorted records whose serials have ``width`` octets."""

    __slots__ = ("_records", "_size", "_width")

    def __init__(self, buffer: bytes | memoryview, width: int) -> None:
        self._records = memoryview(buffer)
        self._width = width
        self._size = width + TAIL
        if len(self._records) % self._size:
            raise ValueError(f"{len(self._records)} octets are no whole number of records of {self._size}")

    @property
    def records(self) -> memoryview:
        """All records, for whoever writes them to a file."""
        return self._records

    @property
    def width(self) -> int:
        """The octets of each serial."""
        return self._width

    def __len__(self) -> int:
        return len(self._records) // self._size

    def __getitem__(self, place: int) -> bytes:
        """Return the serial of the record at ``place``, as the search compares it."""
        at = place * self._size
        return bytes(self._records[at : at + self._width])

    def find(self, serial: int) -> Entry | None:
        """Return the entry of a serial number, None where there is none.

        Of several, which no CRL should have, one that revokes comes before one that removes.
        """
        try:
            key = serial.to_bytes(self._width, "big", signed=True)
        except OverflowError:
            return None
        found: Entry | None = None
        place = bisect_left(self, key)
        while place < len(self) and self[place] == key:
            found = self._entry(place)
            if found.reason != REMOVE_FROM_CRL:
                break
            place += 1
        return found

    def _entry(self, place: int) -> Entry:
        at = place * self._size + self._width
        return Entry(float(int.from_bytes(self._records[at : at + 4], "big")), self._records[at + 4])


def tail_of(revoked_at: int, reason: int) -> bytes:
    """Pack what a record has behind its serial; dates before 1970 and after 2106 are brought to these."""
    if not 0 <= revoked_at <= _MAX_DATE:
        revoked_at = 0 if revoked_at < 0 else _MAX_DATE
    return (revoked_at << 8 | reason).to_bytes(TAIL, "big")


def build_index(records: Iterable[bytes]) -> SerialIndex:
    """Make the index of records with serials of MAX_SERIAL octets; padding that all of them have is cut off."""
    ordered = sorted(records)
    width = _width(ordered)
    cut = MAX_SERIAL - width
    return SerialIndex(b"".join(record[cut:] for record in ordered) if cut else b"".join(ordered), width)


def _width(ordered: list[bytes]) -> int:
    """Return the octets that the widest serial needs; as numbers with a sign, those are at the ends of each half."""
    if not ordered:
        return 1
    half = bisect_left(ordered, b"\x80")
    ends = (ordered[0], ordered[half - 1], ordered[min(half, len(ordered) - 1)], ordered[-1])
    return max(_octets(int.from_bytes(record[:MAX_SERIAL], "big", signed=True)) for record in ends)


def _octets(serial: int) -> int:
    """Return the octets of a number in two's complement."""
    return (serial if serial >= 0 else ~serial).bit_length() // 8 + 1
