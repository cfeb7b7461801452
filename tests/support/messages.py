"""Which handshake messages a server sends, as the client's OpenSSL reports them."""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL

from proxy.accept.tls import ffi, lib

NEW_SESSION_TICKET: Final = 4
CERTIFICATE_REQUEST: Final = 13
"""Handshake types (RFC 8446, section 4)."""

_HANDSHAKE: Final = 22


class Received:
    """The types of the handshake messages that came in, in their order; ``watch`` prepares a client's context."""

    def __init__(self) -> None:
        self.types: list[int] = []
        self._callback = ffi.callback("void(int, int, int, const void *, size_t, SSL *, void *)", self._take)

    def watch(self, context: SSL.Context) -> None:
        """Listen to every connection of ``context``."""
        lib.SSL_CTX_set_msg_callback(context._context, self._callback)

    def _take(self, sent: int, _version: int, kind: int, data: Any, length: int, *_rest: Any) -> None:
        if not sent and kind == _HANDSHAKE and length:
            self.types.append(ffi.buffer(data, length)[0][0])
