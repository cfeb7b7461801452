"""The log: its lines, its folding, and what it does when nobody reads."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.decide.verdict import Reason
from proxy.observe.fold import WINDOW
from proxy.observe.log import DROP_REPORT_ROOM, Log, members, open_log
from proxy.observe.sink import Sink, open_append

NOON = 1_900_000_000.25
NOON_TEXT = "2030-03-17T17:46:40.250Z"


class Bench:
    """A log on a real file, with a clock and a timer that the test sets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.timer = 0.0
        self.log = Log(Sink(open_append(str(path)), str(path)), lambda: NOON + self.timer, lambda: self.timer)

    def lines(self) -> list[dict[str, object]]:
        """Close the log and return all its lines."""
        self.log.close()
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Make a log of its own for each test."""
    return Bench(tmp_path / "log")


def test_a_line_starts_with_time_level_and_event(bench: Bench) -> None:
    """Every line is one JSON object, its first three members in a fixed order, None left out."""
    certificate = {"serial": "0A", "absent": None}
    bench.log.write("handshake.accepted", conn=7, reason=Reason.EXPIRED, sni=None, certificate=certificate)
    bench.log.close()
    assert bench.path.read_text() == (
        f'{{"time":"{NOON_TEXT}","level":"info","event":"handshake.accepted",'
        '"conn":7,"reason":"expired","certificate":{"serial":"0A"}}\n'
    )


def test_a_line_of_known_members_says_what_any_line_says(bench: Bench) -> None:
    """The same octets, but for the order; hostile text is made harmless in either part."""
    few = {"conn": "a\u202eb", "waited_ms": None, "ms": 1.5}
    many = {"sni": 'x"}\n', "absent": None, "certificate": {"san": ["a", "b"]}}
    bench.log.write("handshake.accepted", **few, **many)
    bench.log.write_known("handshake.accepted", members(**many), **few)
    first, second = bench.lines()
    assert first == second
    assert second["conn"] == "a\\u202eb"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_every_level_is_written(bench: Bench, level: str) -> None:
    """No level is filtered: who calls has decided."""
    bench.log.write("event", level=level)
    assert [line["level"] for line in bench.lines()] == [level]


def test_hostile_text_stays_inside_its_field(bench: Bench) -> None:
    """A subject with a forged line, terminal codes, bidi overrides, surrogates and 100 kB is one harmless line."""
    subject = 'CN=x"}\n{"event":"handshake.accepted"}\x1b[2J\u202e\ud800' + "A" * 100_000
    bench.log.write("handshake.refused", certificate={"subject": subject, "issuer": b"\xff\x00"}, time="forged")
    bench.log.close()
    raw = bench.path.read_text()
    assert raw.count("\n") == 1
    assert raw.rstrip("\n").isprintable()
    line = json.loads(raw)
    assert (line["event"], line["time"]) == ("handshake.refused", NOON_TEXT)
    assert line["certificate"]["subject"].startswith('CN=x"}\\n{"event":"handshake.accepted"}\\x1b[2J\\u202e\\ud800AA')
    assert len(line["certificate"]["subject"]) == 1024
    assert line["certificate"]["issuer"] == "ÿ\\x00"


def test_a_flood_of_equal_refusals_is_one_line_and_one_count(bench: Bench) -> None:
    """The summary has the fields of the first refusal, the count, and the times of the first and the last."""
    for bench.timer in (0.0, 1.0, 2.0):
        bench.log.refuse("handshake.refused", same=("expired", "192.0.2.1"), reason=Reason.EXPIRED, peer="192.0.2.1")
    bench.timer = WINDOW
    bench.log.tick(bench.timer)
    first, summary = bench.lines()
    assert first == {
        "time": NOON_TEXT,
        "level": "warning",
        "event": "handshake.refused",
        "reason": "expired",
        "peer": "192.0.2.1",
    }
    assert summary == first | {
        "time": "2030-03-17T17:46:50.250Z",
        "folded": 2,
        "first": NOON_TEXT,
        "last": "2030-03-17T17:46:42.250Z",
    }


def test_closing_tells_what_is_still_folded(bench: Bench) -> None:
    """A count does not get lost because the process ends before the window does."""
    for _ in range(5):
        bench.log.refuse("handshake.refused", same="key")
    assert [line.get("folded") for line in bench.lines()] == [None, 4]


def test_a_summary_is_no_longer_than_the_refusal_was(bench: Bench) -> None:
    """Long text is cut once: the summary shows the very same field."""
    for _ in range(2):
        bench.log.refuse("handshake.refused", same="key", subject="\x00" * 5000, san=["x"] * 100)
    first, summary = bench.lines()
    assert (first["subject"], first["san"]) == (summary["subject"], summary["san"])


def test_drops_are_reported_as_soon_as_there_is_room() -> None:
    """While nobody reads, lines are counted; when somebody does, the log says how many are missing."""
    reader, writer = os.pipe()
    log = Log(Sink(writer, max_buffer=4 * DROP_REPORT_ROOM))
    for number in range(500):
        log.write("request", number=number, filler="x" * 1000)
        log.tick(0.0)
    dropped = log.dropped
    assert dropped > 0
    lines = _read_until(reader, "log.dropped", tick=lambda: log.tick(0.0))
    assert lines[-1]["event"] == "log.dropped"
    assert lines[-1]["count"] == dropped
    assert len(lines) - 1 + dropped == 500
    log.tick(0.0)
    log.close()
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)


def _read_until(reader: int, event: str, tick: Callable[[], None]) -> list[dict[str, object]]:
    data = b""
    while f'"{event}"'.encode() not in data or not data.endswith(b"\n"):
        tick()
        if select.select([reader], [], [], 0.01)[0]:
            data += os.read(reader, 65536)
    return [json.loads(line) for line in data.splitlines()]


def test_drops_are_reported_at_the_end_at_the_latest(tmp_path: Path) -> None:
    """Closing says what was dropped although the buffer never had room for a report."""
    path = tmp_path / "log"
    log = Log(Sink(open_append(str(path)), str(path), max_buffer=200))
    log.write("request", filler="x" * 500)
    log.tick(0.0)
    log.close()
    assert [json.loads(line)["count"] for line in path.read_bytes().splitlines()] == [1]


def test_stdout_is_a_target(capfd: pytest.CaptureFixture[str]) -> None:
    """The target ``stdout`` writes there, and leaves it open for others."""
    log = open_log(None)
    log.write("started")
    log.reopen()
    log.close()
    os.write(1, b"still open\n")
    line, rest = capfd.readouterr().out.splitlines()
    assert json.loads(line)["event"] == "started"
    assert rest == "still open"


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    """A restart does not delete what the last run said."""
    path = tmp_path / "log"
    path.write_text("{}\n")
    log = open_log(path)
    log.write("started")
    log.close()
    assert [json.loads(line).get("event") for line in path.read_bytes().splitlines()] == [None, "started"]


@pytest.mark.parametrize("name", ["missing/log", "."])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    """A wrong path is an error at the start, with the path in it."""
    with pytest.raises(OSError, match=str(tmp_path)):
        open_log(tmp_path / name)
