"""Waiting: who waits for which needs, so that an outcome wakes those whom it concerns and nobody else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

WAIT: Final = 10.0
"""Seconds for a verdict on an open connection or a request. A backstop: each source has a time-out of its own, well
below, whose failure decides by the bundle's settings."""


class Waiter(Protocol):
    """Who waits: a connection, or one whose handshake has just ended."""

    def judge_again(self) -> None:
        """Ask for the verdict once more; harmless where nothing is waited for any more."""


class Waiting:
    """Waiters by the keys of their needs. It is bounded by the connections that are open."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, dict[Waiter, None]] = {}
        self._keys: dict[Waiter, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, waiter: Waiter, keys: Iterable[bytes]) -> None:
        """Let a waiter wait for any of ``keys``, and for nothing else any more."""
        self.discard(waiter)
        self._keys[waiter] = tuple(keys)
        for key in self._keys[waiter]:
            self._by_key.setdefault(key, {})[waiter] = None

    def discard(self, waiter: Waiter) -> None:
        """Let a waiter wait no more."""
        for key in self._keys.pop(waiter, ()):
            waiters = self._by_key[key]
            del waiters[waiter]
            if not waiters:
                del self._by_key[key]

    def take(self, keys: Iterable[bytes]) -> list[Waiter]:
        """Return those who waited for any of ``keys``, first come first; they wait no more."""
        found = list(dict.fromkeys(waiter for key in keys for waiter in self._by_key.get(key, ())))
        for waiter in found:
            self.discard(waiter)
        return found
