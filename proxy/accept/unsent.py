"""What a client has not taken yet: our own buffers do not show a client that is slow, as the kernel's are larger."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import sys
import termios


def unsent(transport: asyncio.Transport) -> int:
    """Return the octets that were written and that the peer has not acknowledged, ours and the kernel's.

    The kernel takes more of ours only once a good part of its own buffer is free (tcp(7), SIOCOUTQ).
    """
    size = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError, ValueError):  # a socket that is gone has nothing left to send
        size += int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return size
