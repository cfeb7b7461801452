"""Acknowledging: who stays silent is acknowledged, who speaks is not, and one timer serves them all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy.accept.acknowledge import Acknowledger


@dataclass
class Someone:
    """A client that has spoken, or not."""

    silent: bool

    def is_silent(self) -> bool:
        """Say which."""
        return self.silent


class Loop:
    """Timers that go off when the test says so."""

    def __init__(self) -> None:
        self.timers: list[object] = []

    def call_later(self, _delay: float, callback: object) -> None:
        """Set one."""
        self.timers.append(callback)


class Wire(asyncio.Transport):
    """A transport whose socket remembers its options."""

    def __init__(self, *, closing: bool = False, fault: OSError | None = None) -> None:
        super().__init__({"socket": self})
        self.options: list[tuple[int, ...]] = []
        self.closing, self.fault = closing, fault

    def is_closing(self) -> bool:
        """Tell whether it is."""
        return self.closing

    def setsockopt(self, *option: int) -> None:
        """Remember an option, or fail."""
        if self.fault is not None:
            raise self.fault
        self.options.append(option)


def test_the_silent_are_acknowledged_and_nobody_else() -> None:
    """One that is closing or has gone is left alone, and harms nobody."""
    loop = Loop()
    acknowledger = Acknowledger(loop)  # type: ignore[arg-type]  # all that it needs of one
    gone, closing, spoke, silent = Wire(fault=OSError("gone")), Wire(closing=True), Wire(), Wire()
    for wire in (gone, closing, silent):
        acknowledger.add(wire, Someone(silent=True))
    acknowledger.add(spoke, Someone(silent=False))
    (timer,) = loop.timers
    timer()  # type: ignore[operator]
    assert [len(wire.options) for wire in (gone, closing, spoke, silent)] == [0, 0, 0, 1]
    acknowledger.add(silent, Someone(silent=True))
    assert len(loop.timers) == 2
