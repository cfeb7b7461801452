"""The request as the app gets it: written anew from what was read, with the identity that was verified."""

from __future__ import annotations

from typing import Final

from proxy.decide.request.head import RequestHead

_VIA: Final = b"1.1 originward"


def render(head: RequestHead, identity: bytes, client: bytes, request_id: bytes, *, admitted: bool) -> bytes:
    """Write the head of the forwarded request.

    ``identity`` are the stamped header lines, ``client`` is the peer's address. ``admitted`` says that the client was
    admitted by certificate: only then is what it says about others (X-Forwarded-*, Forwarded, viewer facts) kept.
    """
    host = head.host or b""
    parts = [head.method, b" ", head.target, b" HTTP/1.1\r\nHost: ", host, b"\r\n", *head.lines, identity]
    if admitted:
        parts += head.from_admitted
        if head.forwarded_for:
            client = head.forwarded_for + b", " + client
        proto = head.forwarded_proto + b", https" if head.forwarded_proto else b"https"
        if head.forwarded_host:
            host = head.forwarded_host + b", " + host
    else:
        proto = b"https"
    via = head.via + b", " + _VIA if head.via else _VIA
    parts += (
        b"X-Forwarded-For: ", client, b"\r\nX-Forwarded-Proto: ", proto, b"\r\nX-Forwarded-Host: ", host,
        b"\r\nX-Request-Id: ", request_id, b"\r\nVia: ", via,
    )  # fmt: skip
    if head.chunked:
        parts.append(b"\r\nTransfer-Encoding: chunked")
    elif head.own_lengths:
        parts.append(b"\r\nContent-Length: %d" % head.length)
    parts.append(b"\r\nExpect: 100-continue\r\n\r\n" if head.expects else b"\r\n\r\n")
    return b"".join(parts)
