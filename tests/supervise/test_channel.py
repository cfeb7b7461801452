"""A channel: messages arrive whole, in order, and only as large as they may be."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.control.helper import LENGTH, MAX_FRAME
from proxy.supervise import channel
from proxy.supervise.channel import Channel, packed

PATIENCE = 5.0


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Channel, Channel, asyncio.Queue[object]]]:
    """Join two channels; the queue has what the second one received, and None at the end."""
    heard: asyncio.Queue[object] = asyncio.Queue()
    one, two = socket.socketpair()
    near = await Channel.over(one, lambda _message: None, lambda: None)
    far = await Channel.over(two, heard.put_nowait, lambda: heard.put_nowait(None))
    try:
        async with asyncio.timeout(PATIENCE):
            yield near, far, heard
    finally:
        near.close()
        far.close()


def test_messages_arrive_whole_and_in_order() -> None:
    """Small ones together in one read, a large one in many."""

    async def run() -> None:
        async with joined() as (near, _, heard):
            sent: list[object] = [1, "two", b"3" * 3_000_000, {"four": (5,)}, 6]
            for message in sent:
                near.send(message)
            assert [await heard.get() for _ in sent] == sent

    asyncio.run(run())


def test_what_was_sent_arrives_before_the_end() -> None:
    """A worker's last word is heard."""

    async def run() -> None:
        async with joined() as (near, _, heard):
            near.send("bye")
            near.finish()
            assert [await heard.get(), await heard.get()] == ["bye", None]
            near.send("nobody hears this")

    asyncio.run(run())


def test_a_message_in_pieces_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Octet by octet, as a socket may deliver it."""
    heard: list[object] = []
    end = Channel(heard.append, lambda: None)
    monkeypatch.setattr(end, "_transport", object())
    for octet in packed("one") + packed("two"):
        end.data_received(bytes([octet]))
    assert heard == ["one", "two"]


def test_a_message_that_announces_too_much_ends_the_channel() -> None:
    """The length is looked at before anything is kept."""

    async def run() -> None:
        async with joined() as (near, _, heard):
            near.send_packed(LENGTH.pack(MAX_FRAME + 1))
            assert await heard.get() is None

    asyncio.run(run())


def test_an_end_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is bounded."""
    monkeypatch.setattr(channel, "MAX_BEHIND", 1_000_000)

    async def run() -> None:
        ours, theirs = socket.socketpair()
        gone = asyncio.Event()
        end = await Channel.over(ours, lambda _message: None, gone.set)
        with theirs:
            for _ in range(100):
                end.send(b"x" * 100_000)
            async with asyncio.timeout(PATIENCE):
                await gone.wait()

    asyncio.run(run())


def test_a_message_that_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender hears of it."""
    monkeypatch.setattr(channel, "MAX_FRAME", 1000)
    with pytest.raises(OverflowError, match="more than 1000"):
        packed(b"x" * 1000)
