"""The sink: real pipes and files, readers that stall, consumers that go away."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.observe import sink as module
from proxy.observe.sink import Sink, open_append

LINE = b"x" * 999 + b"\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Make a pipe, and close what the test left open of it."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError as fault:
            assert fault.errno == errno.EBADF  # noqa: PT017  # the test closed this end itself


def read_exactly(fd: int, octets: int) -> bytes:
    """Read so many octets, waiting for them."""
    data = b""
    while len(data) < octets:
        data += os.read(fd, octets - len(data))
    return data


def settle(sink: Sink) -> None:
    """Let the writer finish what was put."""
    while sink.waiting:
        os.sched_yield()


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    """A reader gets exactly what was put, lines longer than a pipe's atomic write included."""
    sink = Sink(pipe[1])
    lines = [f"{n}\n".encode() * (n * 97) for n in range(1, 40)]
    total = b"".join(lines)
    assert all(map(sink.put, lines))
    assert read_exactly(pipe[0], len(total)) == total
    sink.close()
    assert sink.waiting == 0


def test_a_reader_that_does_not_read_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    """``put`` returns although nobody reads (or this test would never end), and counts what has no room."""
    sink = Sink(pipe[1], max_buffer=100_000)
    taken = sum(sink.put(LINE) for _ in range(1000))
    assert taken + sink.dropped == 1000
    assert sink.dropped > 0
    assert sink.waiting <= 100_000
    assert read_exactly(pipe[0], taken * len(LINE)) == LINE * taken
    sink.close()


def test_an_urgent_line_needs_no_room(pipe: tuple[int, int]) -> None:
    """The line that says how many were dropped is not dropped itself."""
    sink = Sink(pipe[1], max_buffer=10)
    assert not sink.put(LINE)
    assert sink.put(LINE, urgent=True)
    assert read_exactly(pipe[0], len(LINE)) == LINE
    sink.close()


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    """Nothing that was put before the end is missing from the file."""
    path = tmp_path / "log"
    sink = Sink(open_append(str(path)), str(path))
    for _ in range(500):
        sink.put(LINE)
    sink.close()
    assert path.read_bytes() == LINE * 500
    assert not sink.put(LINE)


def test_closing_does_not_wait_for_a_stuck_reader(pipe: tuple[int, int], capfd: pytest.CaptureFixture[str]) -> None:
    """The process ends although nobody reads its log, and says how much is lost."""
    sink = Sink(pipe[1])
    for _ in range(200):
        sink.put(LINE)
    sink.close(0.05)
    assert sink.waiting > 0
    assert "octets of log lines could not be written before the end" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["pipe", "/dev/full"])
def test_a_consumer_that_is_gone_is_told_once(
    name: str, pipe: tuple[int, int], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed pipe and a full disk raise nothing and end nothing; stderr hears of it once, not per attempt."""
    attempts = _count_attempts(monkeypatch)
    os.close(pipe[0])
    sink = Sink(pipe[1] if name == "pipe" else open_append(name))
    for _ in range(3):
        sink.put(LINE)
    while len(attempts) < 3:
        os.sched_yield()
    sink.close()
    assert capfd.readouterr().err.count("the log cannot be written") == 1
    assert sink.waiting == 3 * len(LINE)


def _count_attempts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the sink's own writes, and let its retries follow closely."""
    attempts: list[int] = []
    write = os.write

    def counted(fd: int, octets: bytes) -> int:
        if fd != module.STDERR:
            attempts.append(fd)
        return write(fd, octets)

    monkeypatch.setattr(module.os, "write", counted)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    return attempts


def test_a_consumer_that_comes_back_gets_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines wait while a FIFO has no reader, and go to the next one."""
    attempts = _count_attempts(monkeypatch)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = Sink(open_append(str(path)), str(path))
    os.close(reader)
    sink.put(LINE)
    while not attempts:
        os.sched_yield()
    reader = os.open(path, os.O_RDONLY)
    assert read_exactly(reader, len(LINE)) == LINE
    sink.close()
    os.close(reader)


def test_a_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    """After a rename and ``reopen`` lines go to a new file under the old name."""
    path = tmp_path / "log"
    sink = Sink(open_append(str(path)), str(path))
    sink.put(b"before\n")
    settle(sink)
    path.rename(tmp_path / "log.1")
    sink.reopen()
    sink.put(b"after\n")
    sink.close()
    assert (tmp_path / "log.1").read_bytes() == b"before\n"
    assert path.read_bytes() == b"after\n"


def test_a_rotation_that_fails_keeps_the_old_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A folder that is gone costs no line."""
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "log"
    sink = Sink(open_append(str(path)), str(path))
    folder.rename(tmp_path / "moved")
    sink.reopen()
    sink.put(b"line\n")
    sink.close()
    assert (tmp_path / "moved" / "log").read_bytes() == b"line\n"
    assert "the log cannot be opened anew" in capfd.readouterr().err


def test_a_fifo_without_a_reader_is_an_error_and_no_endless_start(tmp_path: Path) -> None:
    """Opening returns at once with the path in the error."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(OSError, match="fifo") as raised:
        open_append(str(path))
    assert raised.value.errno == errno.ENXIO


def test_the_log_is_not_for_everybody(tmp_path: Path) -> None:
    """A new file can be read by its owner and group only."""
    path = tmp_path / "log"
    os.close(open_append(str(path)))
    assert path.stat().st_mode & 0o007 == 0
