"""The log: one JSON line per decision, written without ever holding up the loop.

structlog gives a line its shape, msgspec its octets, ``escape`` takes the sting out of what strangers put in it,
``fold`` turns a flood into counts, and ``sink`` carries it away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from proxy.observe.escape import plain
from proxy.observe.fold import Fold, Summary
from proxy.observe.sink import Sink, open_append

STDOUT: Final = 1

MAX_SUMMARIES: Final = 256
"""Summaries per tick, 20 µs each, so that the loop is held 5 ms; four ticks a second empty a full table in its time."""

DROP_REPORT_ROOM: Final = 64 * 2**10
"""Octets that must be free before drops are reported: reports into every small gap would themselves be a flood."""

_Fields = MutableMapping[str, Any]
_encoder: Final = msgspec.json.Encoder()


def open_log(target: Path | None) -> Log:
    """Open the log at ``target``: a file, which is appended to, or None for standard output.

    Raises OSError naming the file.
    """
    if target is None:
        return Log(Sink(STDOUT))
    return Log(Sink(open_append(str(target)), str(target)))


class Log:
    """Writes lines to ``sink``. ``clock`` gives Unix seconds, ``timer`` the seconds that windows are measured in.

    All methods are for one thread, the loop's, and none of them waits but ``close``. Fields that are None are left out.
    """

    def __init__(
        self, sink: Sink, clock: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._timer = timer
        self._fold: Fold[bytes] = Fold()
        self._reported = 0
        self._logger = _logger(clock)

    @property
    def dropped(self) -> int:
        """The lines that found no room, since the start."""
        return self._sink.dropped

    def write(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        """Write one line; ``level`` is ``debug``, ``info``, ``warning``, ``error`` or ``critical``."""
        self._emit(level, event, fields)

    def write_known(self, event: str, known: bytes, /, **fields: object) -> None:
        """Write one line of ``fields`` and, behind them, what ``members`` has encoded before.

        For the line of which there is one per connection: it costs a third of what ``write`` does, and looks the same.
        """
        line: _Fields = {"time": iso_millis(self._clock()), "level": "info", "event": event}
        line.update((name, plain(value)) for name, value in fields.items() if value is not None)
        self._sink.put(b"%b,%b\n" % (_encoder.encode(line)[:-1], known))

    def refuse(self, event: str, /, *, same: Hashable, **fields: object) -> None:
        """Write a refusal, or count it where one with an equal ``same`` was written within the window."""
        now = self._timer()
        if not self._fold.count(same, now):
            line = self._emit("warning", event, fields)
            self._fold.open(same, line, len(line), now)

    def pass_on(self, line: bytes) -> bool:
        """Take a line that another process of ours has made; False, and not counted, where there is no room yet."""
        return self._sink.room_for(len(line)) and self._sink.put(line)

    def tick(self, now: float) -> None:
        """Write the summaries that are due at ``now`` by the timer, and report drops once there is room again."""
        for summary in self._fold.due(now, MAX_SUMMARIES):
            self._summarise(summary)
        self._report_drops(DROP_REPORT_ROOM)

    def reopen(self) -> None:
        """Open the file anew, as log rotation asks; nothing happens on stdout."""
        self._sink.reopen()

    def close(self) -> None:
        """Write what is still folded and what waits, and end the writer; a stuck consumer gets a few seconds."""
        for summary in self._fold.drain():
            self._summarise(summary)
        self._report_drops(0)
        self._sink.close()

    def _emit(self, level: str, event: str, fields: Mapping[str, object], *, urgent: bool = False) -> bytes:
        line: bytes = getattr(self._logger, level)(event, **fields)
        self._sink.put(line, urgent=urgent)
        return line

    def _summarise(self, summary: Summary[bytes]) -> None:
        """Write the refusal's line once more, as of now and with its count."""
        fields: dict[str, object] = msgspec.json.decode(summary.payload)
        event = str(fields.pop("event"))
        # The windows are measured by the timer; people read the clock.
        offset = self._clock() - self._timer()
        first, last = iso_millis(summary.first + offset), iso_millis(summary.last + offset)
        fields.update(folded=summary.folded, first=first, last=last)
        self._emit("warning", event, fields)

    def _report_drops(self, room: int) -> None:
        count = self._sink.dropped - self._reported
        if count and (not room or self._sink.room_for(room)):
            self._reported = self._sink.dropped
            self._emit("error", "log.dropped", {"count": count}, urgent=True)


def members(**fields: object) -> bytes:
    """Encode fields, of which there is one at least, as the last members of a JSON object, with its brace."""
    return _encoder.encode({name: plain(value) for name, value in fields.items() if value is not None})[1:]


def iso_millis(seconds: float) -> str:
    """Write a Unix time as UTC, ISO 8601, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _logger(clock: Callable[[], float]) -> structlog.typing.FilteringBoundLogger:
    """Make the structlog pipeline: level, time and escaping, then JSON; a call returns the line as octets."""

    def shape(_logger: object, _method: str, fields: _Fields) -> _Fields:
        """Put what every line has first, so that lines align, and make the rest harmless."""
        line: _Fields = {"time": iso_millis(clock()), "level": fields["level"], "event": plain(fields["event"])}
        line.update((name, plain(value)) for name, value in fields.items() if name not in line and value is not None)
        return line

    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[structlog.processors.add_log_level, shape, structlog.processors.JSONRenderer(serializer=_line)],
        wrapper_class=structlog.make_filtering_bound_logger("notset"),
    ).bind()
    return logger


def _line(fields: _Fields, **_options: object) -> bytes:
    """Encode a line; structlog passes options of the json module, which ``plain`` leaves nothing to do for."""
    return _encoder.encode(fields) + b"\n"
