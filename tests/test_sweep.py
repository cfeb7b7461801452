"""Sweeps: ends are found in time, are forgotten with their connections, and a sweep leaves room for others."""

from __future__ import annotations

import asyncio
import time
from math import inf
from typing import Any, cast

from proxy.sweep import SLACK, SLICE, Ends, Sweep


class Stub:
    """What a sweep knows of a connection."""

    def __init__(self) -> None:
        self.until = inf


def stub() -> Any:
    """Make one."""
    return cast("Any", Stub())


def test_ends_come_when_they_are_due() -> None:
    """All of one time together, and not a moment before."""
    ends, one, two, late = Ends(), stub(), stub(), stub()
    for connection, until in ((one, 5.0), (two, 5.0), (late, 9.0)):
        ends.add(connection, until)
    assert ends.due(4.9) == []
    assert set(ends.due(5.0)) == {one, two}
    assert ends.due(8.0) == []
    assert ends.due(9.0) == [late]


def test_connections_that_are_gone_leave_nothing_behind() -> None:
    """A hundred thousand short ones with ends far away do not fill the memory."""
    ends = Ends()
    for until in range(100_000):
        connection = stub()
        ends.add(connection, 1e9 + until)
        ends.discard(connection, 1e9 + until)
    assert len(ends) <= SLACK + 1


def test_an_end_that_is_moved_comes_once() -> None:
    """At its last time; one that came is not there any more."""
    judged: list[Any] = []
    loop = asyncio.new_event_loop()
    sweep, connection = Sweep(loop, judged.append), stub()
    sweep.watch(connection, 5.0)
    sweep.watch(connection, 7.0)
    for now in (6.0, 7.0, 8.0):
        sweep.tick(now)
        loop.run_until_complete(asyncio.sleep(0))
    assert judged == [connection]
    sweep.watch(connection, 7.0)
    sweep.tick(8.0)
    loop.run_until_complete(asyncio.sleep(0))
    assert judged == [connection, connection]
    loop.close()


def test_a_sweep_leaves_room_for_others() -> None:
    """Between two slices the loop does what else there is."""
    judged: list[Any] = []

    def judge(connection: Any) -> None:
        end = time.monotonic() + SLICE / 2
        while time.monotonic() < end:
            continue
        judged.append(connection)

    async def watch_it() -> list[int]:
        sweep = Sweep(asyncio.get_running_loop(), judge)
        sweep.begin([stub() for _ in range(20)])
        seen = []
        while len(judged) < 20:
            await asyncio.sleep(0)
            seen.append(len(judged))
        return seen

    steps = asyncio.run(watch_it())
    assert max(after - before for before, after in zip([0, *steps], steps, strict=False)) <= 3
