"""A worker: a process that carries traffic, and does for the rest what its supervisor says.

It is a fresh interpreter with inherited descriptors: its end of the channel, a pipe for its log, and the listening
sockets of all workers. It ends with its supervisor, however that one ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

import uvloop

from proxy.accept.arrival import Arrival
from proxy.control.helper import OTHERS, die_with
from proxy.control.local import in_slices
from proxy.house import House
from proxy.observe.log import Log
from proxy.observe.metrics import Metrics
from proxy.observe.sink import Sink
from proxy.snapshot.assemble import Assembler
from proxy.snapshot.crl_index import CrlIndexError
from proxy.snapshot.model import Snapshot
from proxy.supervise import messages, sums
from proxy.supervise.allocator import keep_freed
from proxy.supervise.announce import allow_descriptors
from proxy.supervise.channel import Channel
from proxy.supervise.doors import Doors
from proxy.supervise.drain import drain
from proxy.supervise.turning import leave_to_stay, tick

BEAT_SECONDS: Final = 1.0
"""Between two signs of life. The supervisor's patience is many of them."""

NAME: Final = "originward-{}"
"""Of the process, as ``top`` and ``ps -o comm`` show it: 15 octets at most."""

_PR_SET_NAME: Final = 15


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is started with: its number from 1 on, its parent, and the descriptors that it inherits.

    ``doors`` are the listening sockets of each worker, its own among them.
    """

    number: int
    parent: int
    channel: int
    log: int
    doors: tuple[tuple[int, ...], ...]


def main(order: Order) -> NoReturn:
    """Be a worker until the supervisor ends it. The signals of OTHERS are blocked: they are the supervisor's."""
    for number in OTHERS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OTHERS)
    die_with(order.parent)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, NAME.format(order.number).encode(), 0, 0, 0)
    log = Log(Sink(order.log))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            status = runner.run(Worker(order, log).work())
    finally:
        log.close()
    sys.exit(status)


class Worker:
    """Does what messages say, in their order. Implements ``ControlPlane`` for its house: it asks the supervisor."""

    def __init__(self, order: Order, log: Log) -> None:
        self._order = order
        self._log = log
        self._metrics = Metrics(log_dropped=lambda: log.dropped)
        self._house: House | None = None
        self._doors: Doors | None = None
        # One that the service manager handed over is everybody's: each number is taken once.
        own = {number for numbers in order.doors for number in numbers}
        sockets = {number: socket.socket(fileno=number) for number in own}
        self._sockets = [[sockets[number] for number in numbers] for numbers in order.doors]
        self._assembler = Assembler()
        self._staged: dict[int, Callable[[], None]] = {}
        self._todo: asyncio.Queue[object] = asyncio.Queue()
        self._cut = asyncio.Event()
        self._channel: Channel
        self._acts: Mapping[type, Callable[[Any], Any]] = {
            messages.Stage: self._stage, messages.Swap: self._swap, messages.Drop: self._drop,
            messages.Settle: self._settle, messages.Serve: self._serve, messages.Count: self._count,
        }  # fmt: skip

    async def work(self) -> int:
        """Work until told to drain; return the exit status."""
        loop = asyncio.get_running_loop()
        self._channel = await Channel.over(socket.socket(fileno=self._order.channel), self._receive, _orphaned)
        beating = asyncio.create_task(self._beat())
        while not isinstance(message := await self._todo.get(), messages.Drain):
            await self._acts[type(message)](message)
        cut = await self._end(message, loop)
        await self._count(messages.Count())
        self._channel.send(messages.Drained(cut))
        self._channel.finish()
        beating.cancel()
        return 0

    # --- the channel

    def _receive(self, message: object) -> None:
        if isinstance(message, messages.Cut):
            self._cut.set()
        else:
            self._todo.put_nowait(message)

    async def _beat(self) -> None:
        while True:
            self._channel.send(messages.Beat())
            await asyncio.sleep(BEAT_SECONDS)

    def ask(self, needs: Sequence[Any]) -> None:
        """Have the supervisor fetch what is needed."""
        self._channel.send(messages.Asked(tuple(needs)))

    # --- what is in force

    async def _stage(self, message: messages.Stage) -> None:
        """Make a generation ready; the garbage collector is kept from it until it is in force, or dropped."""
        gc.disable()
        try:
            snapshot = await in_slices(self._assembler.assemble(message.prepared, message.generation))
            self._staged[message.generation] = await self._swap_to(snapshot)
        except CrlIndexError as fault:
            gc.enable()
            self._channel.send(messages.Staged(message.generation, str(fault)))
        except Exception as fault:  # noqa: BLE001 - what is in force stays in force, and the supervisor says what happened
            gc.enable()
            traceback.print_exc()
            self._channel.send(messages.Staged(message.generation, f"{type(fault).__name__}: {fault}"))
        else:
            self._channel.send(messages.Staged(message.generation))

    async def _swap_to(self, snapshot: Snapshot) -> Callable[[], None]:
        list(allow_descriptors(snapshot.config.limits))  # the supervisor warns, for all of them
        if self._house is None:
            return partial(self._settle_in, snapshot)
        return await in_slices(self._house.staging(snapshot))

    async def _swap(self, message: messages.Swap) -> None:
        self._staged.pop(message.generation)()
        gc.freeze()
        gc.enable()
        await in_slices(self._assembler.dismantle())

    async def _drop(self, message: messages.Drop) -> None:
        self._staged.pop(message.generation, None)
        gc.enable()

    def _settle_in(self, snapshot: Snapshot) -> None:
        """Put the first generation in force."""
        loop = asyncio.get_running_loop()
        self._metrics.describe(snapshot)
        self._house = house = House(snapshot, self._log, self._metrics, loop, self._assembler.answers)
        house.control = self
        self._doors = Doors(lambda: Arrival(house), self._close_sockets, loop)
        loop.set_exception_handler(house.loop_fault)
        self._ticking = asyncio.create_task(tick(house))
        leave_to_stay()
        keep_freed()

    async def _settle(self, message: messages.Settle) -> None:
        if self._house is not None:
            self._house.settle(message.outcomes)
            return
        for key, settled in message.outcomes.items():
            self._assembler.answers.put(key, settled.outcome)

    # --- traffic

    async def _serve(self, message: messages.Serve) -> None:
        if self._doors is None:
            raise RuntimeError("nothing is in force to serve by")
        mine = {sock for number in message.numbers for sock in self._sockets[number - 1]}
        self._doors.leave(sock for sockets in self._sockets for sock in sockets if sock not in mine)
        await self._doors.open(mine)

    def _close_sockets(self) -> None:
        for sockets in self._sockets:
            for sock in sockets:
                sock.close()

    async def _count(self, _message: messages.Count) -> None:
        """Send the counters bit by bit."""
        for part in sums.parts(self._metrics):
            self._channel.send(messages.Counted(part, last=False))
            await asyncio.sleep(0)
        self._channel.send(messages.Counted({}, last=True))

    async def _end(self, message: messages.Drain, loop: asyncio.AbstractEventLoop) -> int:
        house, doors = self._house, self._doors
        if house is None or doors is None:
            return 0
        doors.shut(message.linger)
        listening = loop.create_task(self._hear_on())
        cut = await drain(house, message.limit, self._cut, doors.closed)
        listening.cancel()
        self._ticking.cancel()
        await house.close()
        return cut

    async def _hear_on(self) -> None:
        """Go on with what matters while draining: clients may wait for a verdict, and somebody looks at counters."""
        while True:
            message = await self._todo.get()
            if isinstance(message, messages.Count | messages.Settle):
                await self._acts[type(message)](message)


def _orphaned() -> None:
    """End at once: without a supervisor nobody would ever replace this process, or tell it of a revocation."""
    os._exit(1)
