"""The request as the app gets it: written anew from what was read, with the identity that was verified."""

from __future__ import annotations

from typing import Final

from proxy.decide.request.head import RequestHead

_VIA: Final = b"1.1 originward"
_VIA_HTTP10: Final = b"1.0 originward"
"""RFC 9110, section 7.6.3: the version that the request came with."""


def render(head: RequestHead, identity: bytes, client: bytes, request_id: bytes, *, admitted: bool) -> bytes:
    """Write the head of the forwarded request.

    ``identity`` are the stamped header lines, ``client`` is the peer's address. ``admitted`` says that the client was
    admitted by certificate: only then is what it says about others (X-Forwarded-*, Forwarded, viewer facts) kept.
    """
    host = head.host or b""
    lines = head.lines
    forwarded_host, proto = host, b"https"
    if admitted:
        if head.from_admitted:
            lines = lines + head.from_admitted
        if head.forwarded_for:
            client = head.forwarded_for + b", " + client
        if head.forwarded_proto:
            proto = head.forwarded_proto + b", https"
        if head.forwarded_host:
            forwarded_host = head.forwarded_host + b", " + host
    fields = b"\r\n".join(lines) + b"\r\n" if lines else b""
    via = _VIA if head.http11 else _VIA_HTTP10
    if head.via:
        via = head.via + b", " + via
    end = b"\r\n\r\n"
    if head.chunked:
        end = b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    elif head.has_length:
        end = b"\r\nContent-Length: %d\r\n\r\n" % head.length
    if head.expects:
        end = b"\r\nExpect: 100-continue" + end
    return (
        b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%bX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n"
        b"X-Forwarded-Host: %b\r\nX-Request-Id: %b\r\nVia: %b%b"
    ) % (
        head.method, head.target, host, fields, identity, client, proto, forwarded_host, request_id, via, end,
    )  # fmt: skip
