"""A channel: messages between the supervisor and a worker, over a Unix socket pair.

A message is its length and a pickle; both ends are this program. What waits is bounded: an end that does not read
is given up.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections.abc import Callable
from typing import Final, Self, cast

from proxy.control.helper import LENGTH, MAX_FRAME

MAX_BEHIND: Final = 2 * MAX_FRAME
"""Octets on their way to the other end: a generation and what goes with it. More is an end that does not read."""


def packed(message: object) -> bytes:
    """Pack a message once, to be sent to many. Raises OverflowError for one that nobody could take."""
    octets = pickle.dumps(message, protocol=5)
    if len(octets) > MAX_FRAME:
        raise OverflowError(f"a message takes {len(octets)} octets, more than {MAX_FRAME}")
    return LENGTH.pack(len(octets)) + octets


class Channel(asyncio.Protocol):
    """One end. ``receive`` is called with each message, ``lost`` once when the other end is gone."""

    def __init__(self, receive: Callable[[object], None], lost: Callable[[], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._have = 0
        self._need = LENGTH.size

    @classmethod
    async def over(cls, end: socket.socket, receive: Callable[[object], None], lost: Callable[[], None]) -> Self:
        """Make a channel of a socket, which is the channel's from then on."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(receive, lost), sock=end)
        return channel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take octets; whole messages go to ``receive``."""
        self._pieces.append(data)
        self._have += len(data)
        while self._transport is not None and self._have >= self._need:
            whole = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
            (length,) = LENGTH.unpack_from(whole)
            if length > MAX_FRAME:
                self.close()
                return
            self._need = LENGTH.size + length
            self._pieces = [whole]
            if self._have >= self._need:
                self._take(whole)

    def _take(self, whole: bytes) -> None:
        body = memoryview(whole)[LENGTH.size : self._need]
        rest = whole[self._need :]
        self._pieces, self._have, self._need = [rest] if rest else [], len(rest), LENGTH.size
        self._receive(pickle.loads(body))  # noqa: S301 - from our own program at the other end

    def connection_lost(self, _fault: Exception | None) -> None:
        """Tell that the other end is gone."""
        self._transport = None
        self._lost()

    def send(self, message: object) -> None:
        """Send a message; nothing happens where the other end is gone."""
        self.send_packed(packed(message))

    def send_packed(self, frame: bytes) -> None:
        """Send what ``packed`` returned."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() + len(frame) > MAX_BEHIND:
            self.close()
            return
        self._transport.write(frame)

    def finish(self) -> None:
        """Close when what was sent has been taken."""
        if self._transport is not None:
            self._transport.close()

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
