"""Singles: the extensions of the single answers in a response; cryptography shows them only where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from proxy.decide.der import dotted
from proxy.decide.peer.crl.der import CONTEXT_0, GENERALIZED_TIME, SEQUENCE, span

BOOLEAN: Final = 0x01
OBJECT_IDENTIFIER: Final = 0x06
CONTEXT_1: Final = 0xA1

_AFTER_THIS_UPDATE: Final = 3
"""Behind certID, certStatus (a revocation has the extensions' tag) and thisUpdate."""

KNOWN: Final = frozenset({"1.3.6.1.5.5.7.48.1.3", "1.3.6.1.5.5.7.48.1.6"})
"""CRL references and the archive cutoff (RFC 6960, sections 4.4.2 and 4.4.4): they change no status."""


def critical_extensions(tbs: bytes) -> Iterator[str]:
    """Yield the object identifiers of unknown critical extensions of single answers in a ResponseData (section 4.2.1).

    Raises DerError, which is a ValueError.
    """
    start, end = span(tbs, 0, len(tbs), SEQUENCE)
    if start < end and tbs[start] == CONTEXT_0:  # the version
        start = span(tbs, start, end)[1]
    responder = span(tbs, start, end)[1]
    produced = span(tbs, responder, end, GENERALIZED_TIME)[1]
    for _, *single in _elements(tbs, *span(tbs, produced, end, SEQUENCE)):
        for tag, *part in islice(_elements(tbs, *single), _AFTER_THIS_UPDATE, None):
            if tag == CONTEXT_1:
                yield from _unknown(tbs, *part)


def _unknown(tbs: bytes, at: int, end: int) -> Iterator[str]:
    """Walk over Extensions, each an object identifier, a BOOLEAN where it is critical, and its value."""
    for _, start, stop in _elements(tbs, *span(tbs, at, end, SEQUENCE)):
        first, last = span(tbs, start, stop, OBJECT_IDENTIFIER)
        critical = last < stop and tbs[last] == BOOLEAN and any(tbs[slice(*span(tbs, last, stop))])
        name = dotted(tbs[first:last])
        if critical and name not in KNOWN:
            yield name


def _elements(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the tag of each value in a row, and where its contents start and end."""
    while at < end:
        start, stop = span(data, at, end)
        yield data[at], start, stop
        at = stop
