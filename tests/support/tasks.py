"""Tasks for the helper process: functions that it can find by their names, and a program that offloads them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Never

import uvloop

from proxy.control.offload import Offload
from proxy.snapshot.problems import ConfigError, Problem

FOREVER = 600.0


def add(left: int, right: int) -> int:
    """Return the sum."""
    return left + right


def echo(data: bytes) -> bytes:
    """Return what came."""
    return data


def where() -> tuple[int, int]:
    """Return the process of the task and its parent."""
    return os.getpid(), os.getppid()


def open_descriptors() -> dict[int, str]:
    """Return what the task's process has open."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except FileNotFoundError:
            continue  # the listing's own
    return found


def linger(fifo: Path) -> None:
    """Write the task's process down, and stay."""
    fifo.write_text(str(os.getpid()))
    time.sleep(FOREVER)


def end_by(number: int) -> None:
    """End by a signal."""
    os.kill(os.getpid(), number)


def leave(status: int) -> None:
    """End without an outcome."""
    os._exit(status)


def refuse_configuration() -> None:
    """Refuse, as loading does."""
    raise ConfigError([Problem(Path("o.yaml"), 3, "hosts", "it is wrong"), Problem(Path("o.yaml"), 1, "", "and this")])


class PickyError(Exception):
    """An exception whose constructor does not take its arguments back."""

    def __init__(self, place: Path, words: str) -> None:
        super().__init__(f"{place} {words}")
        self.words = words


def refuse_pickily() -> Never:
    """Raise it."""
    raise PickyError(Path("x"), "is picky")


def refuse_with_a_socket() -> Never:
    """Raise what cannot be pickled at all."""
    raise ValueError(socket.socket())


def return_a_socket() -> object:
    """Return what cannot be pickled."""
    return socket.socket()


async def _host(offload: Offload, fifo: Path) -> None:
    sums = await asyncio.gather(*(offload.run(add, number, 1) for number in range(5)))
    opened = await offload.run(open_descriptors)
    print(json.dumps({"helper": offload.process, "sums": sums, "opened": opened}), flush=True)  # noqa: T201
    await offload.run(linger, fifo, timeout=FOREVER)


def main() -> None:
    """Fork the helper with a listener open, use it, say so on standard output, and linger in a task."""
    with socket.create_server(("127.0.0.1", 0)):  # stands for what systemd hands down
        offload = Offload()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_host(offload, Path(sys.argv[1])))


if __name__ == "__main__":
    main()
