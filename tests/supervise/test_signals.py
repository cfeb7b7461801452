"""Signals: the first asks to drain, the second to cut, and USR1 to open the log anew."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from proxy.supervise.signals import HangUps, StopRequest

PATIENCE = 5.0


async def _heard(stop: StopRequest, *numbers: signal.Signals) -> tuple[bool, bool]:
    """Send signals to this process, one after the other, and tell whether to drain and whether to cut."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        os.kill(os.getpid(), number)
        delivered = loop.create_future()
        loop.call_soon(loop.call_soon, delivered.set_result, None)  # the loop reads its wake-up socket in between
        await asyncio.wait_for(delivered, PATIENCE)
    return stop.drain.is_set(), stop.cut.is_set()


def _after(*numbers: signal.Signals) -> tuple[bool, bool, int]:
    reopened: list[None] = []

    async def run() -> tuple[bool, bool]:
        loop = asyncio.get_running_loop()
        stop = StopRequest(loop, lambda: reopened.append(None))
        try:
            return await _heard(stop, *numbers)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                loop.remove_signal_handler(number)

    drain, cut = asyncio.run(run())
    return drain, cut, len(reopened)


@pytest.mark.parametrize(
    ("numbers", "drain", "cut", "reopened"),
    [
        ((), False, False, 0),
        ((signal.SIGTERM,), True, False, 0),
        ((signal.SIGINT,), True, False, 0),
        ((signal.SIGTERM, signal.SIGTERM), True, True, 0),
        ((signal.SIGINT, signal.SIGTERM), True, True, 0),
        ((signal.SIGUSR1,), False, False, 1),
        ((signal.SIGTERM, signal.SIGUSR1), True, False, 1),
    ],
)
def test_what_a_signal_asks_for(
    numbers: tuple[signal.Signals, ...], drain: bool, cut: bool, reopened: int
) -> None:
    """Ctrl-C and the service manager are treated alike."""
    assert _after(*numbers) == (drain, cut, reopened)


def test_a_hang_up_before_anybody_can_reload_is_kept() -> None:
    """It does not end the process, as it would by default; later ones are heard at once."""
    before = signal.getsignal(signal.SIGHUP)
    heard: list[None] = []

    async def run(hangups: HangUps) -> None:
        loop = asyncio.get_running_loop()
        hangups.attach(loop, lambda: heard.append(None))
        assert len(heard) == 1
        os.kill(os.getpid(), signal.SIGHUP)
        delivered = loop.create_future()
        loop.call_soon(loop.call_soon, delivered.set_result, None)
        await asyncio.wait_for(delivered, PATIENCE)
        loop.remove_signal_handler(signal.SIGHUP)

    try:
        hangups = HangUps()
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        asyncio.run(run(hangups))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert len(heard) == 2
