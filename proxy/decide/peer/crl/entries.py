"""Entries: the walk over a CRL's revokedCertificates (RFC 5280, section 5.1.2.6).

It goes over the octets rather than over a parser's objects: a million entries take one second and a half, and nothing
is kept but the records. What an entry's extensions say is remembered by their octets, since most entries are alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography import x509

from proxy.decide.peer.crl.der import INTEGER, SEQUENCE, UTC_TIME, DerError, span, time_of
from proxy.decide.peer.crl.evidence import REASONS
from proxy.decide.peer.crl.index import MAX_SERIAL, REMOVE_FROM_CRL, SerialIndex, build_index, tail_of
from proxy.decide.peer.crl.names import NameKey, name_key

MAX_REMEMBERED: Final = 4096
"""Different extensions and dates kept while walking; a CRL with an invalidity date in each entry has a million."""

_REASON_CODE: Final = b"\x55\x1d\x15"
_CERTIFICATE_ISSUER: Final = b"\x55\x1d\x1d"
_KNOWN: Final = frozenset({_REASON_CODE, _CERTIFICATE_ISSUER, b"\x55\x1d\x18"})
"""Of the extensions of entries (section 5.3): the reason, the issuer, the invalidity date."""

_LONG: Final = 0x80
_MARGIN: Final = 600
_DAY: Final = 86400
_OBJECT_IDENTIFIER: Final = 0x06
_BOOLEAN: Final = 0x01
_OCTET_STRING: Final = 0x04
_ENUMERATED: Final = 0x0A
_DIRECTORY_NAME: Final = 0xA4

_Facts = tuple[int, NameKey | None]
"""What the extensions of an entry say: the reason, and the certificate's issuer where another one begins."""


class Walk:
    """Walks over the entries of a CRL by ``issuer``; ``indirect`` ones name other issuers on the way."""

    def __init__(self, issuer: NameKey, *, indirect: bool, delta: bool) -> None:
        self._issuer = issuer
        self._indirect = indirect
        self._delta = delta
        self._extensions: dict[bytes, _Facts] = {b"": (0, None)}
        self._days: dict[bytes, int] = {}
        self._seconds: dict[bytes, int] = {}

    def run(self, data: bytes, at: int, end: int) -> Mapping[NameKey, SerialIndex]:
        """Index the entries in ``data`` from ``at`` to ``end``, by the issuer of the certificates. Raises DerError."""
        current = self._issuer
        lists: dict[NameKey, list[bytes]] = {current: []}
        add = lists[current].append
        extensions, days, seconds = self._extensions, self._days, self._seconds
        data += bytes(_MARGIN)  # what is read ahead of its check is there to be read
        while at < end:
            length = data[at + 1]
            start, after = (at + 2, at + 2 + length) if length < _LONG else span(data, at, end)
            date = start + 2 + data[start + 1]
            more = date + 2 + data[date + 1]
            if data[at] != SEQUENCE or data[start] != INTEGER or not start + 2 < date <= start + 2 + MAX_SERIAL:
                raise DerError(f"no entry with a serial number of 1 to {MAX_SERIAL} octets at octet {at}")
            if not more <= after <= end:
                raise DerError(f"the entry at octet {at} is cut off")
            raw = data[more:after]
            known = extensions.get(raw)
            reason, issuer = self._facts(raw) if known is None else known
            if issuer is not None and issuer != current:
                current = issuer
                add = lists.setdefault(current, []).append
            when = data[date:more]
            day, second = days.get(when[:8]), seconds.get(when[8:])
            revoked_at = self._time(when) if day is None or second is None else day + second
            padding = b"\xff" if data[start + 2] >= _LONG else b"\0"  # the sign
            add(data[start + 2 : date].rjust(MAX_SERIAL, padding) + tail_of(revoked_at, reason))
            at = after
        return {name: build_index(records) for name, records in lists.items()}

    def _time(self, when: bytes) -> int:
        """Read a date, and remember its day and its second of the day where it is the usual UTCTime."""
        unix = int(time_of(when))
        if when[0] == UTC_TIME:
            self._seconds[when[8:]] = unix % _DAY
            self._days[when[:8]] = unix - unix % _DAY
        return unix

    def _facts(self, raw: bytes) -> _Facts:
        """Read the extensions of an entry, as the octets that follow its date."""
        reason, issuer = 0, None
        start, end = span(raw, 0, len(raw), SEQUENCE)
        if end != len(raw) or start == end:
            raise DerError("an entry's extensions are malformed")
        seen: set[bytes] = set()
        while start < end:
            oid, value, start = _extension(raw, start, end)
            if oid in seen:
                raise DerError("an entry has an extension twice")
            seen.add(oid)
            if oid == _REASON_CODE:
                reason = self._reason(value)
            elif oid == _CERTIFICATE_ISSUER:
                issuer = self._issuer_of(value)
        if len(self._extensions) < MAX_REMEMBERED:
            self._extensions[raw] = (reason, issuer)
        return reason, issuer

    def _reason(self, value: bytes) -> int:
        start, end = span(value, 0, len(value), _ENUMERATED)
        code = int.from_bytes(value[start:end], "big")
        if end != len(value) or code not in REASONS:
            raise DerError("an entry's reason is none of RFC 5280's")
        if code == REMOVE_FROM_CRL and not self._delta:
            raise DerError("an entry has the reason removeFromCRL, which only delta CRLs have")
        return code

    def _issuer_of(self, value: bytes) -> NameKey:
        if not self._indirect:
            raise DerError("an entry names its certificate's issuer, and the CRL does not say that it is indirect")
        start, end = span(value, 0, len(value), SEQUENCE)
        while start < end:
            inner, after = span(value, start, end)
            if value[start] == _DIRECTORY_NAME:
                return name_key(x509.Name.from_bytes(value[inner:after]))
            start = after
        raise DerError("an entry's certificate issuer has no distinguished name")


def _extension(raw: bytes, at: int, end: int) -> tuple[bytes, bytes, int]:
    """Return the object identifier and value of the extension at ``at``, and where it ends."""
    at, after = span(raw, at, end, SEQUENCE)
    start, at = span(raw, at, after, _OBJECT_IDENTIFIER)
    oid, critical = raw[start:at], False
    if at < after and raw[at] == _BOOLEAN:
        start, at = span(raw, at, after)
        critical = raw[start:at] != b"\0"
    if critical and oid not in _KNOWN:
        raise DerError("an entry has a critical extension that is not known")
    start, stop = span(raw, at, after, _OCTET_STRING)
    if stop != after:
        raise DerError("an entry's extension is malformed")
    return oid, raw[start:stop], after
