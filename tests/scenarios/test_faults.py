"""What nobody foresaw closes what it happens to, is logged as our own fault, and leaves everybody else alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy import in_force
from proxy.accept.arrival import Arrival
from proxy.accept.handshake import Handshake
from proxy.accept.peers import Facts
from proxy.connection import Connection
from proxy.forward.exchange import Exchange
from proxy.forward.link import Link
from proxy.forward.pool import Pool
from tests.support.gateway import Client, request
from tests.support.harness import PATIENCE, RawOrigin, TlsClient
from tests.support.indoors import Indoors, indoors
from tests.support.site import ZONE

pytestmark = pytest.mark.doubles

TLS_PARTS: dict[str, tuple[Any, str]] = {
    "the server name": (Handshake, "choose"),
    "what the client shows": (Facts, "read"),
    "the end of a handshake": (Handshake, "judge_again"),
    "a connection's first step": (Connection, "begin"),
}
HTTP_PARTS: dict[str, tuple[Any, str]] = {
    "the stamp": (in_force, "stamp"),
    "the judge": (Connection, "_judge"),
    "the outgoing request": (Connection, "_forward"),
    "the pool": (Pool, "take"),
    "a new link": (Exchange, "connected"),
    "an answer": (Link, "_relay_head"),
    "an answer's head": (Exchange, "head"),
    "the end of an answer": (Connection, "response_done"),
    "the request's line in the log": (Connection, "_fields"),
}


class Unforeseen(Exception):  # noqa: N818 - no error of the program's own
    """What nobody foresaw."""


def break_part(monkeypatch: pytest.MonkeyPatch, part: tuple[Any, str]) -> None:
    """Let a function raise what nobody catches."""

    def fail(*_arguments: object, **_more: object) -> None:
        raise Unforeseen("of all things")

    monkeypatch.setattr(part[0], part[1], fail)


def converse(hall: Indoors) -> bytes:
    """Ask once and return all that comes, up to the end of the connection."""
    with Client(TlsClient(hall.port, ZONE, hall.credential).handshake()) as client:
        client.tls.socket.settimeout(PATIENCE)
        if client.tls.error is None:
            client.send(request("/x"))
        return client.rest()


def check(hall: Indoors) -> None:
    """Hold the log and the counters against what has to be there: the fault, and nobody left."""
    assert hall.house.metrics.internal_errors + hall.house.metrics.handshakes_refused["internal-error"] >= 1
    assert any("Unforeseen: of all things" in str(line.get("detail")) for line in hall.lines())
    assert any(line.get("reason") == "internal-error" for line in hall.lines())
    assert hall.house.connections == set()
    assert (hall.house.metrics.connections_open, hall.house.metrics.handshakes_in_progress) == (0, 0)


@pytest.mark.parametrize("part", TLS_PARTS.values(), ids=TLS_PARTS.keys())
def test_a_fault_in_a_handshake_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: tuple[Any, str]
) -> None:
    """No request gets through, and the connection is gone at once."""
    break_part(monkeypatch, part)
    with RawOrigin() as origin:
        got, hall = indoors(tmp_path, converse, origin)
        assert got == b""
        assert origin.connections == 0
    check(hall)


@pytest.mark.parametrize("part", HTTP_PARTS.values(), ids=HTTP_PARTS.keys())
def test_a_fault_on_the_way_of_a_request_ends_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: tuple[Any, str]
) -> None:
    """It never waits for a time-out, and what the client gets is no complete answer, or one that says 500."""
    break_part(monkeypatch, part)
    sections = {"log": {"requests": "all"}}
    with RawOrigin() as origin:
        got, hall = indoors(tmp_path, converse, origin, **sections)
    if part[1] not in ("response_done", "_fields"):  # those come after the answer
        assert got == b"" or got.startswith(b"HTTP/1.1 500 ")
    check(hall)


def test_a_fault_at_a_deadline_does_not_stop_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other connections' deadlines are acted on; the one that it happened to is cut."""
    break_part(monkeypatch, (Connection, "expire"))
    break_part(monkeypatch, (Arrival, "tick"))

    def wait(hall: Indoors) -> bytes:
        ends = [Client(TlsClient(hall.port, ZONE, hall.credential).handshake()) for _ in range(2)]
        with ends[0], ends[1]:
            return b"".join(end.rest() for end in ends)

    with RawOrigin() as origin:
        got, hall = indoors(tmp_path, wait, origin, limits={"head_timeout": "1s"})
    assert got == b""
    check(hall)
