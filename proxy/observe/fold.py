"""Folding: a flood of equal refusals becomes one line, and one count per window.

The first refusal of a key goes out at once and in full. Equal ones within the window only count; when the window
is over, one summary says how many there were. Every refusal is in exactly one line: its own, or a summary's count.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

WINDOW: Final = 10.0
"""Seconds. A CDN tries a refused request three times within 10 s; a person who tails the log waits no longer."""

MAX_KEYS: Final = 10_000
"""Keys at a time: a stranger who changes address or certificate each time makes new ones. Beyond it none is folded."""

MAX_BYTES: Final = 8 * 2**20
"""Octets of lines kept for their summaries: 10,000 of the usual 800, whatever a stranger writes in a certificate."""

Payload = TypeVar("Payload")


@dataclass(frozen=True, slots=True)
class Summary(Generic[Payload]):
    """What a window folded: the first refusal's payload, the number of later ones, and the times of first and last."""

    payload: Payload
    folded: int
    first: float
    last: float


@dataclass(slots=True)
class _Window(Generic[Payload]):
    payload: Payload
    weight: int
    first: float
    last: float
    folded: int = 0


class Fold(Generic[Payload]):
    """The table of open windows. Times are any one clock's seconds that never run backwards."""

    def __init__(self, window: float = WINDOW, max_keys: int = MAX_KEYS, max_bytes: int = MAX_BYTES) -> None:
        self._length = window
        self._max_keys = max_keys
        self._room = max_bytes
        # Not a dict: finding the first key of one whose first keys were deleted takes longer with each deletion.
        self._windows: OrderedDict[Hashable, _Window[Payload]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of open windows."""
        return len(self._windows)

    def count(self, key: Hashable, now: float) -> bool:
        """Count a refusal in the open window of ``key``; False where none is open and the line must be written.

        A window stays open until ``due`` has taken it.
        """
        window = self._windows.get(key)
        if window is None:
            return False
        window.folded += 1
        window.last = now
        return True

    def open(self, key: Hashable, payload: Payload, weight: int, now: float) -> bool:
        """Open a window for ``key``, whose line of ``weight`` octets was written; False where the table has no room."""
        if key in self._windows or len(self._windows) >= self._max_keys or weight > self._room:
            return False
        self._room -= weight
        self._windows[key] = _Window(payload, weight, now, now)
        return True

    def due(self, now: float, most: int) -> list[Summary[Payload]]:
        """Close the windows that are over and return at most ``most`` summaries of those that folded something."""
        summaries: list[Summary[Payload]] = []
        # All windows are equally long, so the order of opening is the order of closing.
        while self._windows and len(summaries) < most:
            key, window = next(iter(self._windows.items()))
            if now - window.first < self._length:
                break
            self._close(key, window, summaries)
        return summaries

    def drain(self) -> list[Summary[Payload]]:
        """Close every window, over or not, and return the summaries of those that folded something."""
        summaries: list[Summary[Payload]] = []
        for key, window in tuple(self._windows.items()):
            self._close(key, window, summaries)
        return summaries

    def _close(self, key: Hashable, window: _Window[Payload], summaries: list[Summary[Payload]]) -> None:
        del self._windows[key]
        self._room += window.weight
        if window.folded:
            summaries.append(Summary(window.payload, window.folded, window.first, window.last))
