"""The census: every open connection is noted, a part at a time, and nobody else is."""

from __future__ import annotations

from typing import Any, cast

from proxy.census import EVERY, PART, Census


class Stub:
    """What a census knows of a connection."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def note_use(self, now: float) -> None:
        """Note when it was asked."""
        self.seen.append(now)


def stubs(count: int) -> Any:
    """Make a set of connections."""
    return cast("Any", {Stub() for _ in range(count)})


def test_all_are_noted_once_in_parts() -> None:
    """A tick does one part, however many there are."""
    census, connections = Census(), stubs(2 * PART + 1)
    for tick, expected in enumerate((PART, 2 * PART, 2 * PART + 1, 2 * PART + 1), 1):
        census.tick(connections, 1000.0 + tick / 4)
        assert sum(len(one.seen) for one in connections) == expected
    assert all(len(one.seen) == 1 for one in connections)


def test_the_next_census_comes_in_its_time() -> None:
    """Not with every tick; but a clock that is set back does not put it off."""
    census, connections = Census(), stubs(1)
    (one,) = connections
    times = (1000.0, 1000.0 + EVERY - 1, 1000.0 + EVERY, 500.0)
    for now in times:
        census.tick(connections, now)
    assert one.seen == [1000.0, 1000.0 + EVERY, 500.0]


def test_who_is_gone_in_between_is_not_noted() -> None:
    """Its end was its last use."""
    census, connections = Census(), stubs(2 * PART)
    census.tick(connections, 1000.0)
    gone = {one for one in connections if not one.seen}
    census.tick(connections - gone, 1000.25)
    assert not any(one.seen for one in gone)
