"""What becomes of a request's field, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from proxy.decide.request.stamp import Passage, fold, passage


class Field(IntEnum):
    """What becomes of a request's field."""

    FORWARD = 0
    DROP = 1
    FROM_ADMITTED = 2
    HOST = 3
    CONTENT_LENGTH = 4
    TRANSFER_ENCODING = 5
    CONNECTION = 6
    FORWARDED_FOR = 7
    FORWARDED_PROTO = 8
    FORWARDED_HOST = 9
    REQUEST_ID = 10
    EXPECT = 11
    VIA = 12


_OWN: Final[Mapping[bytes, Field]] = {
    b"host": Field.HOST,
    b"content-length": Field.CONTENT_LENGTH,
    b"transfer-encoding": Field.TRANSFER_ENCODING,
    b"connection": Field.CONNECTION,
    b"x-forwarded-for": Field.FORWARDED_FOR,
    b"x-forwarded-proto": Field.FORWARDED_PROTO,
    b"x-forwarded-host": Field.FORWARDED_HOST,
    b"x-request-id": Field.REQUEST_ID,
    b"expect": Field.EXPECT,
    b"via": Field.VIA,
    # Hop-by-hop (RFC 9110, section 7.6.1), and what only makes sense together with them
    b"keep-alive": Field.DROP,
    b"proxy-connection": Field.DROP,
    b"proxy-authenticate": Field.DROP,
    b"proxy-authorization": Field.DROP,
    b"te": Field.DROP,
    b"trailer": Field.DROP,
    b"upgrade": Field.DROP,
    b"http2-settings": Field.DROP,
    # No field of HTTP, but what CGI makes the environment's HTTP_PROXY of, which many HTTP clients obey ("httpoxy")
    b"proxy": Field.DROP,
}
_BY_PASSAGE: Final[Mapping[Passage, Field]] = {
    Passage.FORWARD: Field.FORWARD,
    Passage.STRIP: Field.DROP,
    Passage.ADMITTED: Field.FROM_ADMITTED,
}


def sort_field(name: bytes) -> Field:
    """Say what becomes of a field by its name, in any spelling.

    A look-alike (``X_Forwarded_For``, ``Content_Length``) of a field that the proxy sets or reads is dropped: many
    app servers take it for the real one.
    """
    field = _OWN.get(name.lower())
    if field is not None:
        return field
    return Field.DROP if fold(name) in _OWN else _BY_PASSAGE[passage(name)]
