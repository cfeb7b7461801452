"""Between a client's first request and its last, the loop gets callbacks only: no task, no coroutine, no future."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from proxy.accept.arrival import Arrival
from proxy.house import House
from proxy.observe.log import open_log
from proxy.observe.metrics import Metrics
from proxy.operate.demo.pki import Credential, Leaf
from proxy.snapshot.load import load
from tests.support.gateway import Client, chunks, request
from tests.support.harness import RawOrigin, TlsClient
from tests.support.site import ZONE, small_site

REQUESTS = 100


class Census:
    """Counts what a loop is asked to make."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.made: list[str] = []
        loop.set_task_factory(self._task)
        if not isinstance(loop, uvloop.Loop):
            create_future = loop.create_future
            loop.create_future = lambda: self._future(create_future)  # type: ignore[method-assign]

    def _task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **more: Any
    ) -> asyncio.Task[Any]:
        self.made.append(f"task of {coroutine!r}")
        return asyncio.Task(coroutine, loop=loop, **more)

    def _future(self, create: Callable[[], asyncio.Future[Any]]) -> asyncio.Future[Any]:
        self.made.append("future")
        return create()


def converse(port: int, credential: Credential, census: Census) -> tuple[int, list[str]]:
    """Ask once so that the app's connection is there, then count what further requests of all kinds make."""
    with Client(TlsClient(port, ZONE, credential).handshake()) as client:
        assert client.ask("/warm").status == 200
        before, good = len(census.made), 0
        for number in range(REQUESTS):
            good += client.ask(f"/{number}").status == 200
            good += client.ask(f"/{number}", method="POST", body=b"hello").status == 200
            client.send(request("/chunked", "Transfer-Encoding: chunked", method="PUT") + chunks(b"hello"))
            good += client.answer().status == 200
            good += client.ask("/public/refused", host="other.example").status == 421
        return good, census.made[before:]


@pytest.mark.parametrize("make_loop", [uvloop.new_event_loop, asyncio.SelectorEventLoop])
def test_keep_alive_requests_make_no_tasks_and_no_futures(
    tmp_path: Path, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Four hundred requests with and without bodies, on one connection to the client and one to the app."""
    with RawOrigin() as origin, asyncio.Runner(loop_factory=make_loop) as runner:
        config, cdn = small_site(tmp_path, origin.port)
        credential = cdn.issue(Leaf(subject="edge"))

        async def serve() -> tuple[int, list[str]]:
            loop = asyncio.get_running_loop()
            snapshot = load(config, 1, time.time())
            log, metrics = open_log(tmp_path / "log"), Metrics()
            metrics.describe(snapshot)
            house = House(snapshot, log, metrics, loop)
            server = await loop.create_server(lambda: Arrival(house), "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            result = await loop.run_in_executor(None, converse, port, credential, Census(loop))
            server.close()
            house.drain()
            await house.emptied()
            await house.close()
            log.close()
            return result

        good, made = runner.run(serve())
    assert good == 4 * REQUESTS
    assert made == []
    assert origin.connections == 1
