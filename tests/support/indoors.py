"""A house in the test's own process: for what only a changed part of it can show."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from proxy.accept.arrival import Arrival
from proxy.house import TICK, House
from proxy.observe.log import open_log
from proxy.observe.metrics import Metrics
from proxy.operate.demo.pki import Credential, Leaf
from proxy.snapshot.load import load
from tests.support.harness import RawOrigin
from tests.support.site import small_site

_Result = TypeVar("_Result")


@dataclass
class Indoors:
    """A running house, its port, a client that it admits, and its log once it is over."""

    house: House
    port: int
    credential: Credential
    origin: RawOrigin
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return the log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def indoors(
    folder: Path, visit: Callable[[Indoors], _Result], origin: RawOrigin, **sections: object
) -> tuple[_Result, Indoors]:
    """Run a house, and ``visit`` in a thread beside it; return what it returned, and the house as it was left."""
    config, cdn = small_site(folder, origin.port, **sections)
    credential = cdn.issue(Leaf(subject="edge"))

    async def tick(house: House) -> None:
        while True:
            house.tick()
            await asyncio.sleep(TICK / 5)

    async def serve() -> tuple[_Result, Indoors]:
        loop = asyncio.get_running_loop()
        snapshot = load(config, 1, time.time())
        log, metrics = open_log(folder / "log"), Metrics()
        metrics.describe(snapshot)
        house = House(snapshot, log, metrics, loop)
        loop.set_exception_handler(house.loop_fault)
        server = await loop.create_server(lambda: Arrival(house), "127.0.0.1", 0)
        ticking = asyncio.create_task(tick(house))
        hall = Indoors(house, server.sockets[0].getsockname()[1], credential, origin, folder / "log")
        try:
            return await loop.run_in_executor(None, visit, hall), hall
        finally:
            server.close()
            house.drain()
            await asyncio.wait_for(house.emptied(), 10)
            assert not ticking.done()
            ticking.cancel()
            await house.close()
            log.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())
