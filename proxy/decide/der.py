"""DER, as far as cryptography leaves it to its callers (ITU-T X.690)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_OBJECT_IDENTIFIER: Final = 0x06
_SEQUENCE: Final = 0x30
_LONG: Final = 0x80
_MAX_LENGTH_OCTETS: Final = 3
"""A length of 16 MiB; a handshake message is smaller still (RFC 8446, section 4)."""

_MAX_IDENTIFIER: Final = 63
"""Octets of an object identifier; cryptography reads no longer ones either, and long numbers cost time."""


def read_policy_mappings(der: bytes) -> tuple[tuple[str, str], ...]:
    """Read a PolicyMappings extension (RFC 5280, section 4.2.1.5) as pairs of dotted object identifiers.

    A pair leads from the issuer's policy to the subject's. Raises ValueError.
    """
    (sequence,) = _elements(der, _SEQUENCE)
    return tuple(_mapping(pair) for pair in _elements(sequence, _SEQUENCE))


def _mapping(pair: bytes) -> tuple[str, str]:
    issuers, subjects = _elements(pair, _OBJECT_IDENTIFIER)
    return dotted(issuers), dotted(subjects)


def _elements(content: bytes, tag: int) -> Iterator[bytes]:
    """Yield the contents of the elements that ``content`` is a row of; all of them have ``tag``."""
    position = 0
    while position < len(content):
        if content[position] != tag:
            raise ValueError(f"DER: no element with the tag {tag:#x}")
        start, end = _span(content, position + 1)
        if end > len(content):
            raise ValueError("DER: an element is longer than what holds it")
        yield content[start:end]
        position = end


def _span(content: bytes, position: int) -> tuple[int, int]:
    """Return where an element's content starts and ends, given where its length stands."""
    first = int.from_bytes(content[position : position + 1])
    start = position + 1
    if first < _LONG:
        return start, start + first
    octets = first - _LONG
    if not 0 < octets <= _MAX_LENGTH_OCTETS:
        raise ValueError("DER: a length that nothing here has")
    size = int.from_bytes(content[start : start + octets])
    return start + octets, start + octets + size


def dotted(content: bytes) -> str:
    """Write an object identifier as people do (X.690, section 8.19)."""
    if not 0 < len(content) <= _MAX_IDENTIFIER or content[-1] & _LONG:
        raise ValueError("DER: an object identifier that is empty, too long, or without an end")
    arcs = [0]
    for octet in content:
        arcs[-1] = arcs[-1] << 7 | octet & 0x7F
        if not octet & _LONG:
            arcs.append(0)
    top = min(arcs[0] // 40, 2)
    return ".".join(map(str, (top, arcs[0] - 40 * top, *arcs[1:-1])))
