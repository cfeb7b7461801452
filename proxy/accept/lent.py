"""Large answers, written to the client from where TLS put them, without octets of their own for each piece."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from proxy.accept.tls import Session, ffi

PIECE: Final = 128 * 1024
"""Octets of plain text that become records in one go: few enough to stay in the processor's cache meanwhile."""

ROOM: Final = PIECE + 16 * 1024
"""Octets of the place that all sessions share: a piece, its records' overhead, and what TLS has to say of its own."""

_new_room: Final = ffi.new_allocator(should_clear_after_alloc=False)
_room: Any = _new_room("char[]", ROOM)


def write_large(session: Session, transport: asyncio.Transport, data: memoryview) -> None:
    """Write ``data``, which is only there during the call, as records. Raises TlsError."""
    for start in range(0, len(data), PIECE):
        size = session.write_into(_room, ROOM, data[start : start + PIECE])
        if size < ROOM:
            _write(transport, memoryview(ffi.buffer(_room, size)))
        else:
            transport.write(ffi.unpack(_room, size) + session.pending())


def _write(transport: asyncio.Transport, records: memoryview) -> None:
    """Write what is in the shared place. A client that does not take it at once gets a copy, or the place itself."""
    global _room  # noqa: PLW0603 - all sessions share one
    if transport.get_write_buffer_size():
        transport.write(bytes(records))
        return
    transport.write(records)
    if transport.get_write_buffer_size():
        _room = _new_room("char[]", ROOM)
