"""The crew, with real processes: all workers go by one generation, and none is missing for long."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from proxy.control.planes import PublishError, Settled
from proxy.decide.peer.answers import Failure, Fault
from proxy.observe.log import Log
from proxy.observe.metrics import Metrics
from proxy.observe.sink import Sink, open_append
from proxy.operate.demo.pki import Authority, Leaf
from proxy.snapshot.address import Address
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from proxy.supervise import crew as crew_module
from proxy.supervise.activation import Handed
from proxy.supervise.crew import Crew, deal
from proxy.supervise.listen import close_all, listen_all, open_listeners
from tests.support.harness import RawOrigin, TlsClient
from tests.support.site import ZONE, small_site

PATIENCE = 15.0


class Stage:
    """A crew of two at work, with its log and its site."""

    def __init__(self, crew: Crew, prepared: Prepared, cdn: Authority, log: Path, port: int) -> None:
        self.crew = crew
        self.prepared = prepared
        self.client = cdn.issue(Leaf(subject="edge"))
        self.log = log
        self.port = port

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENCE):
            while not happened():  # noqa: ASYNC110 - files and processes have no events
                await asyncio.sleep(0.01)

    async def logged(self, words: str) -> None:
        """Wait until the log says so."""
        await self.until(lambda: words in self.log.read_text())

    async def generations(self) -> float:
        """Return the newest generation that any worker has in force."""
        metrics = Metrics()
        (await self.crew.count()).fill(metrics, Metrics())
        return metrics.generation

    def ask(self) -> int:
        """Ask once, on a new connection, and return the status."""
        with TlsClient(self.port, ZONE, self.client).handshake() as client:
            return client.get("/", ZONE).status


def played(folder: Path, act: Callable[[Stage], Awaitable[None]], size: int = 2) -> str:
    """Have a crew at work, do something, and return the log."""
    target = folder / "log"

    async def play(log: Log, origin: RawOrigin) -> None:
        path, cdn = small_site(folder / "site", origin.port)
        prepared = prepare(path, time.time(), None)
        listeners = open_listeners([Address("127.0.0.1", 0)], Handed(), size)
        crew = Crew(size, listeners, log)
        try:
            await crew.start(prepared, 1)
            listen_all(listeners)
            crew.open()
            await act(Stage(crew, prepared, cdn, target, listeners[0].sockets[0].getsockname()[1]))
        finally:
            close_all(listeners)
            await crew.end(0, PATIENCE, asyncio.Event())

    log = Log(Sink(open_append(str(target)), str(target)))
    with RawOrigin() as origin, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play(log, origin))
    log.close()
    return target.read_text()


def test_a_generation_comes_in_force_in_all_workers(tmp_path: Path) -> None:
    """And a worker that is started later begins with it."""

    async def act(stage: Stage) -> None:
        await stage.crew.publish(stage.prepared, 2)
        os.kill(stage.crew.there[0].pid, signal.SIGKILL)
        await stage.logged('"worker.started"')
        assert {worker.generation for worker in stage.crew.there} == {2}
        assert await stage.generations() == 2
        assert await asyncio.to_thread(stage.ask) == 200

    assert '"event":"worker.started","worker":1' in played(tmp_path, act)


def test_one_worker_that_cannot_is_enough_for_none_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing in time: all stay with what they have, and the next attempt is good again."""
    async def act(stage: Stage) -> None:
        monkeypatch.setattr(crew_module, "STAGE_SECONDS", 0.5)
        stuck = stage.crew.there[1]
        os.kill(stuck.pid, signal.SIGSTOP)
        with pytest.raises(PublishError, match=r"no word from worker 2 within 0\.5 s"):
            await stage.crew.publish(stage.prepared, 2)
        os.kill(stuck.pid, signal.SIGCONT)
        assert await stage.generations() == 1
        monkeypatch.setattr(crew_module, "STAGE_SECONDS", PATIENCE)
        await stage.crew.publish(stage.prepared, 2)
        assert await stage.generations() == 2

    played(tmp_path, act)


def test_a_worker_that_dies_of_a_generation_keeps_all_from_it(tmp_path: Path) -> None:
    """Whatever it died of: the others would be next."""

    async def act(stage: Stage) -> None:
        victim = stage.crew.there[0]
        os.kill(victim.pid, signal.SIGSTOP)
        publishing = asyncio.ensure_future(stage.crew.publish(stage.prepared, 2))
        await asyncio.sleep(0)
        os.kill(victim.pid, signal.SIGKILL)
        with pytest.raises(PublishError, match="worker 1 ended while the generation was made ready: killed by SIGKILL"):
            await publishing
        await stage.logged('"worker.started"')
        assert {worker.generation for worker in stage.crew.there} == {1}
        assert await stage.generations() == 1

    played(tmp_path, act)


def test_a_generation_that_cannot_be_assembled_says_why(tmp_path: Path) -> None:
    """A worker names what is wrong; it serves on."""

    async def act(stage: Stage) -> None:
        broken = replace(stage.prepared, hosts=(b"no pickle",))
        with pytest.raises(PublishError, match=r"worker \d: UnpicklingError"):
            await stage.crew.publish(broken, 2)
        assert await stage.generations() == 1
        assert await asyncio.to_thread(stage.ask) == 200

    assert '"worker.died"' not in played(tmp_path, act)


def test_a_worker_that_hangs_is_killed_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts nobody, and nobody else would ever know."""
    monkeypatch.setattr(crew_module, "HANG_SECONDS", 2.5)

    async def act(stage: Stage) -> None:
        os.kill(stage.crew.there[0].pid, signal.SIGSTOP)
        await stage.logged('"worker.died"')
        await stage.logged('"worker.started"')
        assert stage.crew.serving == 2

    assert "it gave no sign of life for 2.5 s; killed by SIGKILL" in played(tmp_path, act)


def test_somebody_serves_the_sockets_of_a_worker_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it keeps dying, and its next start has to wait."""
    monkeypatch.setattr(crew_module, "FIRST_PAUSE", 3600.0)
    monkeypatch.setattr(crew_module, "LONGEST_PAUSE", 3600.0)

    async def act(stage: Stage) -> None:
        for died in (1, 2):
            await stage.until(lambda: stage.crew.serving == 2)
            victim = next(worker for worker in stage.crew.there if worker.number == 1)
            os.kill(victim.pid, signal.SIGKILL)
            await stage.until(lambda count=died: stage.log.read_text().count('"worker.died"') == count)
        assert stage.crew.serving == 1
        answers = await asyncio.gather(*(asyncio.to_thread(stage.ask) for _ in range(8)))
        assert set(answers) == {200}

    assert '"restart_in":3600' in played(tmp_path, act)


def test_what_was_settled_is_known_to_all_who_come_later(tmp_path: Path) -> None:
    """An answer that was fetched for one worker is not asked for again by the next."""
    key = b"k" * 32
    failure = Failure(Fault.UNREACHABLE, "nobody there", "http://ocsp.test", time.time(), time.time() + 60)

    async def act(stage: Stage) -> None:
        stage.crew.settle({key: Settled(failure, "ab" * 32)})
        os.kill(stage.crew.there[0].pid, signal.SIGKILL)
        await stage.logged('"worker.started"')
        stage.crew.settle({key: Settled(None, "ab" * 32)})
        assert await asyncio.to_thread(stage.ask) == 200

    assert played(tmp_path, act).count('"worker.died"') == 1


@pytest.mark.parametrize(
    ("serving", "dealt"),
    [
        ([1, 2, 3, 4], {1: {1}, 2: {2}, 3: {3}, 4: {4}}),
        ([3, 1], {3: {3, 2}, 1: {1, 4}}),
        ([2], {2: {1, 2, 3, 4}}),
    ],
)
def test_the_sockets_of_who_is_missing_are_dealt_to_the_others(serving: list[int], dealt: dict[int, set[int]]) -> None:
    """Each keeps its own, and none is left out."""
    assert deal(4, serving) == dealt


def test_a_start_that_fails_is_given_up(tmp_path: Path) -> None:
    """A program that cannot serve says so, and does not try for ever."""

    async def start(log: Log) -> None:
        path, _ = small_site(tmp_path / "site", 9)
        prepared = replace(prepare(path, time.time(), None), bundles=(b"no pickle",))
        listeners = open_listeners([Address("127.0.0.1", 0)], Handed(), 1)
        crew = Crew(1, listeners, log)
        with pytest.raises(PublishError, match="worker 1: UnpicklingError"):
            await crew.start(prepared, 1)
        cut = asyncio.Event()
        cut.set()
        assert await crew.end(0, 0, cut) == 0
        close_all(listeners)
        with pytest.raises(OSError, match="Bad file descriptor"):
            socket.socket(fileno=os.dup(listeners[0].sockets[0].fileno()))

    log = Log(Sink(open_append(str(tmp_path / "log")), str(tmp_path / "log")))
    asyncio.run(start(log))
    log.close()
