"""Reading requests: heads and bodies out of a stream of octets, one at a time and in order (RFC 9112)."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Protocol

from proxy.decide.request.chunked import ChunkedDecoder, ChunkedError
from proxy.decide.request.head import RequestHead, read_any, read_head, read_known
from proxy.decide.verdict import Reason, Refused

_END_OF_HEAD: Final = b"\r\n\r\n"


class Reading(Enum):
    """Where the reader is."""

    HEAD = auto()
    LENGTH = auto()
    CHUNKED = auto()
    WAIT = auto()
    HELD = auto()
    STOPPED = auto()


_HEAD: Final = Reading.HEAD
_WAIT: Final = Reading.WAIT
_STOPPED: Final = Reading.STOPPED
_CR: Final = 13


class Requests(Protocol):
    """Who takes what is read."""

    def request_head(self, head: RequestHead) -> None:
        """Take a request's head; its body, if it has one, follows."""

    def request_body(self, data: bytes) -> None:
        """Take a piece of the body, never empty, decoded."""

    def request_end(self) -> None:
        """Take note that the body is complete."""

    def request_refused(self, refusal: Refused) -> None:
        """Take note that the stream is not a request; nothing more is read from it."""


class _Nobody:
    """Takes what nobody takes any more."""

    def request_head(self, head: RequestHead) -> None:
        """Take nothing."""

    def request_body(self, data: bytes) -> None:
        """Take nothing."""

    def request_end(self) -> None:
        """Take nothing."""

    def request_refused(self, refusal: Refused) -> None:
        """Take nothing."""


_NOBODY: Final = _Nobody()


class RequestReader:
    """Reads one request after the other.

    After each complete one it waits for ``next``: what a client pipelines stays in ``buffer`` meanwhile, and
    ``crowded`` says when that is enough. ``max_head`` is in octets.
    """

    __slots__ = ("_blank", "_chunks", "_held", "_left", "_max_fields", "_max_head", "_pumping", "_requests", "buffer",
                 "state")  # fmt: skip

    def __init__(self, requests: Requests, max_head: int, max_fields: int) -> None:
        self.state = Reading.HEAD
        self._held = Reading.WAIT
        self._requests: Requests = requests
        self._max_head = max_head
        self._max_fields = max_fields
        self._blank = False
        self.buffer = b""
        self._chunks: ChunkedDecoder | None = None
        self._left = 0
        self._pumping = False

    @property
    def crowded(self) -> bool:
        """Whether as much has been pipelined as one head may hold."""
        return len(self.buffer) > self._max_head

    def hold(self) -> None:
        """Read no further after a head: nobody knows yet what becomes of its request."""
        self._held, self.state = self.state, Reading.HELD

    def release(self) -> None:
        """Read on after ``hold``."""
        if self.state is Reading.HELD:
            self.state = self._held
            if self.buffer and not self._pumping:
                self._pump()

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and is not complete."""
        return self.state is _HEAD and bool(self.buffer)

    @property
    def in_body(self) -> bool:
        """Whether a body has begun and is not complete."""
        state = self._held if self.state is Reading.HELD else self.state
        return state is Reading.LENGTH or state is Reading.CHUNKED

    def feed(self, data: bytes) -> None:
        """Take what the client sent."""
        if self.state is _STOPPED:
            return
        self.buffer = self.buffer + data if self.buffer else data
        if not self._pumping:
            self._pump()

    def next(self) -> None:
        """Read the next request: the answer to the last one is complete, and so is its body."""
        self.state = _HEAD
        self._blank = False
        if self.buffer and not self._pumping:
            self._pump()

    def stop(self) -> None:
        """Read nothing more."""
        self.state = Reading.STOPPED
        self.buffer = b""

    def leave(self) -> None:
        """Read nothing more, and let go of whoever took it: two that hold each other wait for the garbage collector."""
        self.stop()
        self._requests = _NOBODY

    def _pump(self) -> None:
        """Go through the buffer. What comes in from below meanwhile (an answer may be given at once) joins in."""
        self._pumping = True
        try:
            while self.buffer and (self._step_head() if self.state is _HEAD else self._step_body()):
                pass
        finally:
            self._pumping = False

    def _step_head(self) -> bool:
        """Read one head; return whether there may be more to read."""
        buffer = self.buffer
        if buffer[0] == _CR and buffer.startswith(b"\r\n"):
            if not self._skip_line():
                return False
            buffer = self.buffer
        alone = len(buffer) <= self._max_head and buffer[-4:] == _END_OF_HEAD
        head = read_known(buffer, self._max_fields) if alone else None
        if head is None:
            return self._find_head(alone=alone)
        self.buffer = b""
        self._take(head)
        return True

    def _find_head(self, *, alone: bool) -> bool:
        """Read one head of a buffer that holds less, or more, or one that takes a closer look."""
        buffer = self.buffer
        end = buffer.find(_END_OF_HEAD)
        if end < 0 or end + 4 > self._max_head:
            return self._no_head(end)
        end += 4
        if end == len(buffer):
            self.buffer = b""
        else:
            buffer, self.buffer, alone = buffer[:end], buffer[end:], False
        head = read_any(buffer, self._max_fields) if alone else read_head(buffer, self._max_fields)
        if not isinstance(head, RequestHead):
            self.stop()
            self._requests.request_refused(head)
            return False
        self._take(head)
        return True

    def _take(self, head: RequestHead) -> None:
        """Pass a head on; its body, if it has one, comes next."""
        if head.chunked:
            self.state = Reading.CHUNKED
            self._chunks = ChunkedDecoder()
        elif head.length:
            self.state = Reading.LENGTH
            self._left = head.length
        else:
            self.state = _WAIT
        self._requests.request_head(head)

    def _no_head(self, end: int) -> bool:
        """Wait for the rest of a head, or refuse what is too long."""
        if end >= 0 or len(self.buffer) > self._max_head:
            self._refuse(Reason.HEAD_TOO_LARGE, f"the head is longer than {self._max_head} octets")
        return False

    def _skip_line(self) -> bool:
        """Skip an empty line before a request (RFC 9112, section 2.2: some clients end a body with one too many)."""
        if self._blank or self.buffer.startswith(b"\r\n", 2):
            self._refuse(Reason.BAD_REQUEST, "more than one empty line before a request")
            return False
        self._blank = True
        self.buffer = self.buffer[2:]
        return True

    def _step_body(self) -> bool:
        """Read one piece of a body; return whether there may be more to read."""
        if self.state is Reading.LENGTH:
            return self._step_length()
        return self.state is Reading.CHUNKED and self._step_chunked()

    def _step_length(self) -> bool:
        piece = self.buffer[: self._left]
        self.buffer = self.buffer[len(piece) :]
        self._left -= len(piece)
        if not self._left:
            self.state = Reading.WAIT
        self._requests.request_body(piece)
        if not self._left:
            self._requests.request_end()
        return True

    def _step_chunked(self) -> bool:
        chunks = self._chunks
        if chunks is None:
            raise RuntimeError("a chunked body without its decoder")
        data, self.buffer = self.buffer, b""
        try:
            payload = chunks.feed(data)
        except ChunkedError as fault:
            self._refuse(Reason.BAD_REQUEST, str(fault))
            return False
        if chunks.done:
            self.state = Reading.WAIT
            self.buffer = chunks.rest
            self._chunks = None
        if payload:
            self._requests.request_body(payload)
        if chunks.done and self.state is not Reading.STOPPED:
            self._requests.request_end()
        return True

    def _refuse(self, reason: Reason, detail: str) -> None:
        self.stop()
        self._requests.request_refused(Refused(reason, detail))
