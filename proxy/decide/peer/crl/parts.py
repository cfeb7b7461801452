"""Parts: where the parts of a DER CRL are (RFC 5280, section 5.1), and what is left of it without its entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.decide.peer.crl.der import CONTEXT_0, GENERALIZED_TIME, INTEGER, SEQUENCE, UTC_TIME, DerError, span

_LONG: Final = 0x80


@dataclass(frozen=True, slots=True)
class Parts:
    """The signed part with its tag, and in it the list of entries with its tag and without; empty if there is none."""

    signed: slice
    listing: slice
    entries: slice


def parts_of(der: bytes) -> Parts:
    """Find the parts of a DER CRL. Raises DerError."""
    start, end = span(der, 0, len(der), SEQUENCE)
    if end != len(der):
        raise DerError("octets follow the CRL")
    at, stop = span(der, start, end, SEQUENCE)
    algorithm = span(der, stop, end, SEQUENCE)
    if der[at] == INTEGER:
        at = span(der, at, stop)[1]
    inner = span(der, at, stop, SEQUENCE)
    if der[slice(*inner)] != der[slice(*algorithm)]:
        raise DerError("the signature algorithm within differs from the one outside (section 5.1.1.2)")
    after = span(der, inner[1], stop, SEQUENCE)[1]  # the issuer
    while after < stop and der[after] in (UTC_TIME, GENERALIZED_TIME):
        after = span(der, after, stop)[1]
    if after == stop or der[after] == CONTEXT_0:
        return Parts(slice(start, stop), slice(after, after), slice(after, after))
    entries = span(der, after, stop, SEQUENCE)
    return Parts(slice(start, stop), slice(after, entries[1]), slice(*entries))


def skeleton_of(der: bytes) -> bytes:
    """Return a DER CRL without its list of entries: the same but for the lengths around it. Raises DerError."""
    parts = parts_of(der)
    inside, _ = span(der, parts.signed.start, parts.signed.stop)
    rest = der[parts.listing.stop : parts.signed.stop]
    return _sequence(_sequence(der[inside : parts.listing.start] + rest) + der[parts.signed.stop :])


def _sequence(contents: bytes) -> bytes:
    length = len(contents)
    if length < _LONG:
        return bytes((SEQUENCE, length)) + contents
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((SEQUENCE, _LONG | len(octets))) + octets + contents
