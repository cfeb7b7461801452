"""The log of several processes: every line whole, none lost, none mixed with another."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from proxy.observe.log import Log
from proxy.observe.sink import Sink, open_append
from proxy.supervise.relay import Relay

PATIENCE = 5.0


async def relayed(log: Log, *writers: list[bytes]) -> None:
    """Have several pipes relayed, into which pieces are written in turn, until all have ended."""
    loop = asyncio.get_running_loop()
    ends = []
    pipes = []
    for _ in writers:
        read, write = os.pipe()
        ended = asyncio.Event()
        Relay(loop, read, log, ended.set)
        ends.append(ended)
        pipes.append(write)
    for place in range(max(map(len, writers))):
        for write, pieces in zip(pipes, writers, strict=True):
            if place < len(pieces):
                await loop.run_in_executor(None, os.write, write, pieces[place])
    for write in pipes:
        os.close(write)
    async with asyncio.timeout(PATIENCE):
        for ended in ends:
            await ended.wait()


def lines_of(*writers: list[bytes], tmp_path: Path, room: int = 1 << 20) -> list[str]:
    """Return the lines that a log file has in the end."""
    target = tmp_path / "log"
    log = Log(Sink(open_append(str(target)), str(target), room))
    asyncio.run(relayed(log, *writers))
    log.close()
    return target.read_text().splitlines()


def test_lines_in_pieces_are_put_together_before_others_come_in_between(tmp_path: Path) -> None:
    """Two workers write long lines at the same time, in pieces that end anywhere."""
    one = [b'{"a": "' + b"1" * 5000, b'1"}\n{"a"', b': "2"}\n']
    two = [b'{"b": "' + b"1" * 5000, b'1"}\n{"b"', b': "2"}\n']
    lines = [json.loads(line) for line in lines_of(one, two, tmp_path=tmp_path)]
    assert [line["a"][0] for line in lines if "a" in line] == ["1", "2"]
    assert [line["b"][0] for line in lines if "b" in line] == ["1", "2"]


def test_a_line_that_was_cut_off_is_counted_and_spoils_no_other(tmp_path: Path) -> None:
    """Its worker died in the middle of it."""
    lines = [json.loads(line) for line in lines_of([b'{"a": "1"}\n{"a": "'], [b'{"b": 1}\n'], tmp_path=tmp_path)]
    assert {"a": "1"} in lines
    assert {"b": 1} in lines
    assert [(line["event"], line["count"]) for line in lines if "event" in line] == [("log.dropped", 1)]


def test_a_log_without_room_loses_nothing(tmp_path: Path) -> None:
    """The pipe is not read until there is room again: lines wait in the worker."""
    many = [b"%05d" % number + b"x" * 994 + b"\n" for number in range(200)]
    lines = lines_of([b"".join(many[place : place + 20]) for place in range(0, 200, 20)], tmp_path=tmp_path, room=4000)
    assert [int(line[:5]) for line in lines] == list(range(200))
