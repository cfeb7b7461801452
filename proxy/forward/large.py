"""Large bodies of responses: read into one buffer that all links share.

The event loop makes octets of its own of all that it reads, up to 256 KiB at a time: one more copy, and memory that has
left the processor's cache by the time it is used again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.forward.link import Link

LARGE: Final = 256 * 1024
"""Octets of a body from which on it is worth the change: more than the event loop reads at once."""

PIECE: Final = 128 * 1024
"""Octets read at once: with the records made of them they stay in a cache of 1 MiB; half of it is twice the calls."""

_buffer: Final = memoryview(bytearray(PIECE))


class LargeBody(asyncio.BufferedProtocol):
    """Stands in for a link with its transport, as long as a large body of known length is on its way."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the buffer: what is in it is relayed before anything else is read."""
        del sizehint
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Relay what was read."""
        self._link.piece_received(_buffer[:nbytes])

    def eof_received(self) -> bool:
        """Let the link decide."""
        return self._link.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the link draw the conclusions."""
        self._link.connection_lost(exc)

    def pause_writing(self) -> None:
        """Let the link stop what it writes."""
        self._link.pause_writing()

    def resume_writing(self) -> None:
        """Let the link go on writing."""
        self._link.resume_writing()
