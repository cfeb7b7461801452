"""A house that lives in a thread of the test's process, so that a test can change what is in force as it goes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from proxy.accept.arrival import Arrival
from proxy.house import TICK, House
from proxy.observe.exposition import Exposition
from proxy.observe.log import open_log
from proxy.observe.metrics import Metrics
from proxy.operate.demo.pki import Credential
from proxy.snapshot.assemble import Assembler, at_once
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepare import prepare
from tests.support.harness import PATIENCE, TlsClient
from tests.support.site import ZONE

_Result = TypeVar("_Result")


class Living:
    """A running house; every method is for the test's thread."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.config = config
        self.port = 0
        self.generation = 1
        self.assembler = Assembler()
        self._log = folder / "living.log"
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as fault:  # noqa: BLE001 - raised in the test's thread
            self._fault = fault
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        log, metrics = open_log(self._log), Metrics()
        snapshot = self.load()
        metrics.describe(snapshot)
        self.house = House(snapshot, log, metrics, self.loop, self.assembler.answers)
        self.loop.set_exception_handler(self.house.loop_fault)
        server = await self.loop.create_server(lambda: Arrival(self.house), "127.0.0.1", 0, backlog=1024)
        ticking = asyncio.create_task(self._tick())
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        self.house.cut()
        await asyncio.wait_for(self.house.emptied(), PATIENCE)
        ticking.cancel()
        await self.house.close()
        log.close()

    async def _tick(self) -> None:
        while True:
            self.house.tick()
            await asyncio.sleep(TICK / 5)

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Call ``function`` in the loop, and return what it returns."""
        async def inside() -> _Result:
            return function()

        return asyncio.run_coroutine_threadsafe(inside(), self.loop).result(PATIENCE)

    def load(self) -> Snapshot:
        """Load the configuration as its files are now; what has not changed is what it was."""
        return at_once(self.assembler.assemble(prepare(self.config, time.time()), self.generation))

    def publish(self) -> None:
        """Load the configuration anew, as its files are now, and put it in force."""
        self.generation += 1
        snapshot = self.load()
        self.call(lambda: self.house.publish(snapshot))

    def client(self, credential: Credential | None, sni: str = ZONE) -> TlsClient:
        """Return a client after its handshake, without what came of it."""
        return TlsClient(self.port, sni, credential).handshake()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log's lines of an event so far; the log is written by a thread of its own."""
        written = [json.loads(line) for line in self._log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in written if line["event"] == event]

    def line(self, event: str) -> dict[str, Any]:
        """Wait for the first line of an event."""
        self.wait(lambda: self.lines(event))
        return self.lines(event)[0]

    def wait(self, wanted: Callable[[], object]) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + PATIENCE
        while not wanted():
            assert time.monotonic() < deadline, self._log.read_text()[-2000:]
            threading.Event().wait(0.005)

    def metrics(self) -> str:
        """Return the page of metrics."""
        return self.call(lambda: b"".join(Exposition(self.house.metrics).parts()).decode())

    def stop(self) -> None:
        """End it; a fault of the loop's thread is the test's."""
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._fault is not None:
            raise self._fault


@contextmanager
def living(folder: Path, config: Path) -> Iterator[Living]:
    """Run a house for the length of a block."""
    house = Living(folder, config)
    try:
        yield house
    finally:
        house.stop()
