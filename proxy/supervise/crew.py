"""The crew: all workers of an instance, seen from the supervisor as one data plane.

Each worker has its number for good, and its process until that ends; the next one takes over number and sockets.
Meanwhile another worker accepts from them, so nobody waits. A generation comes in force in two phases: every worker
assembles it, and only when all have it does any of them swap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Final

from proxy.control.planes import Settled
from proxy.decide.peer.answers import Answers
from proxy.decide.peer.needs import Need
from proxy.observe.log import Log
from proxy.snapshot.prepared import Prepared
from proxy.supervise import messages
from proxy.supervise.ballot import Ballot
from proxy.supervise.channel import packed
from proxy.supervise.ending import end_all
from proxy.supervise.listen import Listener
from proxy.supervise.process import Process
from proxy.supervise.remembered import Remembered
from proxy.supervise.share import share
from proxy.supervise.sums import Sums
from proxy.supervise.tally import Tally

STAGE_SECONDS: Final = 60.0
"""For all workers to assemble a generation: 2,000 hosts take a tenth of it."""

HANG_SECONDS: Final = 20.0
"""Without a sign of life, of which there is one a second: then a worker is killed, and its clients can connect anew."""

STEADY_SECONDS: Final = 10.0
"""A worker that lived this long has not died of its start: the next one starts at once."""

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
"""Seconds before a worker that keeps dying is started again: doubled each time, from the first to the longest."""

COUNT_SECONDS: Final = 10.0
"""Between two looks at the counters without a scrape: what a worker that is killed takes along of them at most."""

LOOK_SECONDS: Final = 1.0
"""Between two looks at who has not been heard."""


class Crew:
    """Starts, watches and replaces ``size`` workers. Implements ``DataPlane``.

    ``asked`` is told what they need, ``died`` of each that ends without being told to.
    """

    def __init__(self, size: int, listeners: Sequence[Listener], log: Log) -> None:
        self.answers = Answers()
        self.asked: Callable[[Sequence[Need]], None] = lambda _needs: None
        self.died: Callable[[], None] = lambda: None
        self._size = size
        self._listeners = listeners
        self._log = log
        self._tally = Tally()
        self._workers: dict[int, Process] = {}
        self._failures: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ballot: Ballot | None = None
        self._current = b""
        self._generation = 0
        self._settled = Remembered()
        self._open = self._ending = False

    # --- the data plane

    async def start(self, prepared: Prepared, generation: int) -> None:
        """Start all workers and put the first generation in force; nobody is listened to yet. Raises PublishError."""
        self._generation = generation
        self._current = self._packed(prepared, generation)
        self._ballot = ballot = Ballot(generation, self._current)
        for number in range(1, self._size + 1):
            await self._start(number)
        self._background(self._watch())
        try:
            await ballot.outcome(STAGE_SECONDS)
        finally:
            self._ballot = None

    def open(self) -> None:
        """Let clients in."""
        self._open = True
        self._swap(self._generation)

    async def publish(self, prepared: Prepared, generation: int) -> None:
        """Have every worker assemble a generation, then put it in force in all of them. Raises PublishError."""
        self._ballot = ballot = Ballot(generation, self._packed(prepared, generation))
        for worker in self.there:
            ballot.ask(worker)
        try:
            await ballot.outcome(STAGE_SECONDS)
        except BaseException:
            for worker in self._workers.values():
                worker.say(messages.Drop(generation))
            raise
        else:
            self._current, self._generation = ballot.stage, generation
            self._swap(generation)
        finally:
            self._ballot = None

    def _packed(self, prepared: Prepared, generation: int) -> bytes:
        return packed(messages.Stage(replace(prepared, frame=share(prepared.frame, self._size)), generation))

    def _swap(self, generation: int) -> None:
        for worker in self._workers.values():
            worker.generation = generation
            worker.say(messages.Swap(generation))
        self._assign()

    def settle(self, outcomes: Mapping[bytes, Settled]) -> None:
        """Tell every worker how needs ended, and remember it for those that are still to come."""
        for key, settled in outcomes.items():
            self.answers.put(key, settled.outcome)
        self._settled.add(outcomes)
        frame = packed(messages.Settle(dict(outcomes)))
        for worker in self._workers.values():
            worker.channel.send_packed(frame)

    # --- how the crew is

    @property
    def serving(self) -> int:
        """The workers that serve, as far as they are heard."""
        now = monotonic()
        return sum(worker.generation is not None and now - worker.heard < HANG_SECONDS for worker in self.there)

    @property
    def there(self) -> list[Process]:
        """The workers whose processes live."""
        return list(self._workers.values())

    async def count(self) -> Sums:
        """Have all workers send their counters, and return the sums."""
        return await self._tally.count([worker for worker in self.there if worker.generation is not None])

    # --- workers come and go

    async def _start(self, number: int) -> Process:
        """Start a worker, and tell it all that the others know."""
        worker = await Process.start(number, self._listeners, self._log, self._hear, self._ended)
        self._workers[number] = worker
        if self._ballot is None or self._ballot.stage is not self._current:
            worker.channel.send_packed(self._current)
        if self._ballot is not None:
            self._ballot.ask(worker)
        if self._settled.all:
            worker.say(messages.Settle(dict(self._settled.all)))
        return worker

    def _hear(self, worker: Process, message: object) -> None:
        worker.heard = monotonic()
        act = _ACTS.get(type(message))
        if act is not None:
            act(self, worker, message)

    def _staged(self, worker: Process, message: messages.Staged) -> None:
        ballot = self._ballot
        if ballot is not None and message.generation == ballot.generation:
            ballot.vote(worker, message.problem)
        elif message.generation == self._generation and worker.generation is None:
            if message.problem is not None:
                worker.kill(f"it cannot assemble generation {message.generation}: {message.problem}; ")
                return
            worker.generation = message.generation
            worker.say(messages.Swap(message.generation))
            self._log.write("worker.started", worker=worker.number, pid=worker.pid, generation=message.generation)
            self._assign()

    def _asked(self, _worker: Process, message: messages.Asked) -> None:
        self.asked(message.needs)

    def _counted(self, worker: Process, message: messages.Counted) -> None:
        self._tally.take(worker, message)

    def _drained(self, worker: Process, message: messages.Drained) -> None:
        worker.cut = message.cut

    def _assign(self) -> None:
        """Deal the sockets of workers that do not serve to those that do."""
        serving = [worker for worker in self.there if worker.generation is not None]
        if not serving or self._ending:
            return
        for number, sockets in deal(self._size, [worker.number for worker in serving]).items():
            self._workers[number].serve(frozenset(sockets))

    def _ended(self, worker: Process, how: str) -> None:
        """Take note of a process that has ended: count on, have its sockets served, start the next one."""
        del self._workers[worker.number]
        lost = self._tally.retire(worker)
        if self._ballot is not None:
            self._ballot.leave(worker, how)
        if self._ending and worker.cut is not None:
            return
        self.died()
        self._assign()
        pause = self._pause(worker)
        self._log.write(
            "worker.died", level="error", worker=worker.number, pid=worker.pid, detail=how,
            lived=round(monotonic() - worker.since, 1), connections=lost, restart_in=None if self._ending else pause,
        )  # fmt: skip
        if self._open and not self._ending:
            self._background(self._restart(worker.number, pause))

    def _pause(self, worker: Process) -> float:
        """Return the seconds to wait: none after the first early death, then more with each."""
        steady = monotonic() - worker.since >= STEADY_SECONDS
        failures = self._failures[worker.number] = 0 if steady else self._failures.get(worker.number, 0) + 1
        return 0.0 if failures <= 1 else min(FIRST_PAUSE * 2.0 ** (failures - 2), LONGEST_PAUSE)

    async def _restart(self, number: int, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            try:
                await self._start(number)
            except OSError as fault:
                pause = LONGEST_PAUSE
                detail = f"worker {number} cannot be started: {fault}; the next attempt is in {pause:g} s"
                self._log.write("warning", level="error", detail=detail)
            else:
                return

    async def _watch(self) -> None:
        """Kill who has not been heard for too long, and keep the counters of the others fresh."""
        last = counted = monotonic()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = monotonic()
            if now - counted >= COUNT_SECONDS:
                counted = now
                self._background(self._count())
            for worker in self.there:
                if now - last > 2 * LOOK_SECONDS:
                    worker.heard = now  # it is we who slept, or the machine
                elif now - worker.heard > HANG_SECONDS:
                    worker.kill(f"it gave no sign of life for {HANG_SECONDS:g} s; ")
            last = now

    async def _count(self) -> None:
        await self.count()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the end

    async def end(self, linger: float, limit: float, cut: asyncio.Event) -> int:
        """Drain all workers: ``linger`` and ``limit`` are in seconds. Return how many connections were cut."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
        return await end_all(self.there, linger, limit, cut)


_ACTS: Final[Mapping[type, Callable[[Crew, Process, Any], None]]] = {
    messages.Staged: Crew._staged,  # noqa: SLF001 - the table is a part of the class
    messages.Asked: Crew._asked,  # noqa: SLF001
    messages.Counted: Crew._counted,  # noqa: SLF001
    messages.Drained: Crew._drained,  # noqa: SLF001
}


def deal(size: int, serving: Sequence[int]) -> dict[int, set[int]]:
    """Deal the sockets of ``size`` workers to those that serve: to each its own, and its part of the others'."""
    dealt = {number: {number} for number in serving}
    missing = [number for number in range(1, size + 1) if number not in dealt]
    for place, number in enumerate(missing):
        dealt[serving[place % len(serving)]].add(number)
    return dealt
