"""The chunked transfer coding, read strictly (RFC 9112, section 7.1); used in both directions."""

from __future__ import annotations

import re
from typing import Final

MAX_SIZE_LINE: Final = 256
"""Octets of a chunk-size line with its extensions, which nobody needs and some use for smuggling."""

MAX_TRAILERS: Final = 8 * 1024
"""Octets of the trailer section, which is read and dropped: no field in it is trusted."""

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class ChunkedError(ValueError):
    """A body that is not in the chunked coding; the message says where it went wrong."""


class ChunkedDecoder:
    """Decodes one body, in pieces as they arrive.

    ``done`` is true once the last chunk and the trailer section have been read; ``rest`` then holds what came after.
    """

    __slots__ = ("_held", "_left", "_trailers", "done", "rest")

    _SIZE: Final = -1
    _CRLF: Final = 0
    _TRAILER_SECTION: Final = -2

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._held = b""
        self._left = self._SIZE  # octets left of the chunk's data, or one of the three states above
        self._trailers = 0

    def feed(self, data: bytes) -> bytes:
        """Return the payload in ``data``. Raises ChunkedError."""
        if self._held:
            data, self._held = self._held + data, b""
        payload: list[bytes] = []
        position = 0
        while not self.done:
            if self._left > 0:
                piece = data[position : position + self._left]
                if not piece:
                    break
                payload.append(piece)
                position += len(piece)
                self._left -= len(piece)
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._hold(data[position:])
                position = len(data)
                break
            self._line(data[position : end + 1])
            position = end + 1
        if self.done:
            self.rest = data[position:]
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _hold(self, start: bytes) -> None:
        limit = MAX_TRAILERS if self._left == self._TRAILER_SECTION else MAX_SIZE_LINE
        if len(start) > limit + 1:  # the CR of its end may be there already
            raise ChunkedError(f"a line of the chunked coding is longer than {limit} octets")
        self._held = start

    def _line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n"):
            raise ChunkedError("a line of the chunked coding ends without CRLF")
        if self._left == self._CRLF:
            if line != b"\r\n":
                raise ChunkedError("chunk data is longer than its size says")
            self._left = self._SIZE
        elif self._left == self._SIZE:
            self._size_line(line[:-2])
        else:
            self._trailer_line(line[:-2])

    def _size_line(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None or len(line) > MAX_SIZE_LINE:
            raise ChunkedError(f"bad chunk size {line[:32]!r}")
        size = int(match[1], 16)
        self._left = size or self._TRAILER_SECTION

    def _trailer_line(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._trailers += len(line)
        if self._trailers > MAX_TRAILERS:
            raise ChunkedError(f"the trailer section is longer than {MAX_TRAILERS} octets")
        if _TRAILER.fullmatch(line) is None:
            raise ChunkedError(f"bad trailer field {line[:32]!r}")


def encode_chunk(payload: bytes) -> bytes:
    """Write one chunk; ``payload`` must not be empty, as that would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


LAST_CHUNK: Final = b"0\r\n\r\n"
