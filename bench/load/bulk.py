"""Large bodies, down and up, over one connection."""

from __future__ import annotations

import re
from typing import Final

from bench.load.client import OK, AnswerError, Client

PIECE: Final = 65_536
"""Octets that are read or written at once."""

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


def download(client: Client, request: bytes, size: int) -> None:
    """Fetch a body of ``size`` octets and count it."""
    client.tls.sendall(request)
    head = b""
    while (end := head.find(b"\r\n\r\n")) < 0:
        head += _some(client.tls.recv(PIECE), head)
    length = _LENGTH.search(head, 0, end + 2)
    if not head.startswith(OK) or length is None or int(length[1]) != size:
        raise AnswerError(f"not the body that was asked for: {head[:end]!r}")
    left = size - (len(head) - end - 4)
    buffer = bytearray(PIECE)
    while left:
        taken = client.tls.recv_into(buffer)
        if not taken:
            raise AnswerError(f"the body ended {left} octets early")
        left -= taken


def upload(client: Client, request: bytes, size: int) -> None:
    """Send a body of ``size`` octets and wait for the answer."""
    client.tls.sendall(request)
    piece = memoryview(bytes(PIECE))
    left = size
    while left:
        step = min(left, PIECE)
        client.tls.sendall(piece[:step])
        left -= step
    while not client.receive():
        pass


def _some(data: bytes, head: bytes) -> bytes:
    if not data:
        raise AnswerError(f"the connection ended within a head: {head!r}")
    return data
