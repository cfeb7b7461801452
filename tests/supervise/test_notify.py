"""What the service manager hears, on a real datagram socket."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.supervise.notify import Notifier, beat, take_notifier

PATIENCE = 5.0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Yield the service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(PATIENCE)
        yield end


def heard(manager: socket.socket) -> dict[str, str]:
    """Return the next message's assignments."""
    return dict(line.split("=", 1) for line in manager.recv(4096).decode().split("\n"))


def test_the_environment_says_whom_to_tell_and_how_often(manager: socket.socket) -> None:
    """And is cleared: children of ours are not the main process."""
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7", "A": "b"}
    notifier = take_notifier(environment, process=7)
    assert environment == {"A": "b"}
    assert notifier.period == 1.5
    notifier.ready("generation 1")
    assert heard(manager) == {"READY": "1", "STATUS": "generation 1"}
    notifier.close()
    notifier.ready("nobody hears this")


def test_a_watchdog_of_another_process_is_not_fed() -> None:
    """Systemd names whom it watches."""
    assert take_notifier({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, process=8).period is None


def test_a_reload_says_when_it_began(manager: socket.socket) -> None:
    """Type=notify-reload matches the signal to the reload by that time."""
    notifier = Notifier(manager.getsockname())
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    message = heard(manager)
    assert message["RELOADING"] == "1"
    assert before <= int(message["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    notifier.stopping("draining")
    assert heard(manager) == {"STOPPING": "1", "STATUS": "draining"}
    notifier.close()


def test_whoever_stops_is_not_ready_again(manager: socket.socket) -> None:
    """A reload while requests finish still judges them, but it does not make the manager believe in a new life."""
    notifier = Notifier(manager.getsockname())
    notifier.stopping("draining")
    notifier.reloading()
    notifier.ready("generation 2")
    notifier.alive()
    said = [heard(manager) for _ in range(3)]
    assert said == [{"STOPPING": "1", "STATUS": "draining"}, {"STATUS": "generation 2"}, {"WATCHDOG": "1"}]
    notifier.close()


def test_an_abstract_address_is_one_too() -> None:
    """Containers and older systemd use it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("")  # the kernel chooses an abstract name
        end.settimeout(PATIENCE)
        notifier = take_notifier({"NOTIFY_SOCKET": "@" + end.getsockname()[1:].decode()})
        notifier.status("here")
        assert heard(end) == {"STATUS": "here"}
        notifier.close()


def test_a_manager_that_is_gone_is_told_of(tmp_path: Path) -> None:
    """Who will be killed for its silence should find the reason in the log."""
    notifier, faults = Notifier(str(tmp_path / "nobody")), []
    notifier.on_fault = faults.append
    notifier.alive()
    assert faults == ["the service manager cannot be told WATCHDOG=1: No such file or directory"]
    notifier.close()


def test_signs_of_life_stop_with_the_life(manager: socket.socket) -> None:
    """Only what works is said to work."""

    async def live() -> None:
        notifier = Notifier(manager.getsockname(), 0.001)
        asked = asyncio.Semaphore(0)
        answers = iter([True, True])

        def lives() -> bool:
            asked.release()
            return next(answers, False)

        beating = asyncio.create_task(beat(notifier, lives))
        async with asyncio.timeout(PATIENCE):
            for _ in range(4):
                await asked.acquire()
        beating.cancel()
        notifier.close()

    asyncio.run(live())
    assert [heard(manager) for _ in range(2)] == [{"WATCHDOG": "1"}] * 2
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
