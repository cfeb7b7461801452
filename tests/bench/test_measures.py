"""Every measure puts its load on a real proxy through real handshakes, and believes only whole answers."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bench.load.client import AnswerError, Client, context
from bench.load.heads import Heads
from bench.load.loops import closed, paced, percentile
from bench.load.reload import PATIENCE, Regular, until_served
from bench.measures import MEASURES, Effort, warm
from bench.plan import KILOBYTE, MEGABYTE, UNCOMPILED, Load, Task
from bench.processes import Cores, Tree
from bench.site import BODIES, HOST, Site
from bench.stage import Subject, stage
from tests.support.harness import RawOrigin, requests_on

SIZES = {name.encode(): size for size, name in BODIES.items()}
BRIEF = Effort(0.001)
"""As little as there is: each measure's smallest number of operations."""


def serve_bodies(connection: socket.socket, origin: RawOrigin) -> None:
    """Answer as the bench's origin does: a body by the path's last segment, an empty one to PUT."""
    for seen in requests_on(connection):
        origin.seen.put(seen)
        method, path, _ = seen.raw.split(b" ", 2)
        size = 0 if method == b"PUT" else SIZES[path.rpartition(b"/")[2]]
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))


@pytest.fixture(scope="module")
def origin() -> Iterator[RawOrigin]:
    """Start an app that serves the bench's bodies."""
    with RawOrigin(serve_bodies) as made:
        yield made


@pytest.fixture(scope="module", params=[Task(), Task(key="rsa", routes=3, hosts=2, crl=50)], ids=["plain", "all"])
def subject(
    request: pytest.FixtureRequest, origin: RawOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    """Run an originward that was configured by the bench."""
    at = (Site(tmp_path_factory.mktemp("bench"), origin.port), Tree(os.getpid()))
    with stage(request.param, [UNCOMPILED], at, Cores.split(), "test") as (made,):
        warm(made, BRIEF)
        yield made


@pytest.mark.parametrize("measure", sorted(set(MEASURES) - {"reload"}))
def test_each_measure_has_figures(measure: str, subject: Subject) -> None:
    """All of them are numbers above zero, but for memory, which may not grow."""
    body = MEGABYTE if measure in {"download", "upload"} else KILOBYTE
    figures = MEASURES[measure](subject, Load(measure=measure, body=body, identities=3, connections=40), BRIEF)
    assert figures
    assert all(value > 0 or name == "kb" for name, value in figures.items())


def test_a_regular_client_asks_until_it_is_stopped(subject: Subject) -> None:
    """It is what a pause is measured by; and a host that is served is seen to be."""
    tls = context(subject.site.keys(subject.task.key).client(0), "1.3")
    path = "/" if subject.task.routes == 1 else "/tenants/00000/app/"
    regular = Regular(lambda: Client(subject.port, HOST, tls), Heads(HOST, [path + "b0"]))
    thread = threading.Thread(target=regular.run)
    thread.start()
    assert until_served(subject.port, HOST, tls) < PATIENCE
    while len(regular.waits) < 3 and regular.fault is None:
        thread.join(0.01)
    regular.stop()
    thread.join(PATIENCE)
    assert regular.fault is None
    assert regular.reconnects == 0
    assert len(regular.waits) >= 3


def test_a_reload_has_figures(origin: RawOrigin, tmp_path: Path) -> None:
    """The host that was added is served, and the client that was connected stayed so."""
    at = (Site(tmp_path, origin.port), Tree(os.getpid()))
    with stage(Task(hosts=2, reloads=True), [UNCOMPILED], at, Cores.split(), "test") as (subject,):
        for _ in range(2):
            figures = MEASURES["reload"](subject, Load(measure="reload"), BRIEF)
            assert 0 < figures["seconds"] < PATIENCE
            assert figures["pause_ms"] > 0
            assert figures["reconnects"] == 0


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_the_client_speaks_the_version_it_is_told(tls: str, subject: Subject) -> None:
    """A row of TLS 1.2 has to be one."""
    keys = subject.site.keys(subject.task.key)
    client = Client(subject.port, HOST, context(keys.client(0), tls))
    assert client.tls.version() == f"TLSv{tls}"
    client.close()


def test_the_app_gets_the_identity_and_what_a_cdn_sends(subject: Subject, origin: RawOrigin) -> None:
    """The task is the whole task: the verified subject goes along."""
    path = "/" if subject.task.routes == 1 else "/tenants/00001/app/"
    keys = subject.site.keys(subject.task.key)
    client = Client(subject.port, HOST, context(keys.client(7), "1.3"))
    while not origin.seen.empty():
        origin.seen.get()
    client.ask(Heads(HOST, [path + "b1k"]).next())
    seen = origin.next()
    client.close()
    assert "CN=client 7" in (seen.header("x-forwarded-client-cert") or "")
    assert seen.header("user-agent") == "Amazon CloudFront"
    assert seen.header("x-amz-cf-id") is not None


def test_a_refusal_is_no_result(subject: Subject) -> None:
    """A request that is answered with anything but 200 ends the run."""
    keys = subject.site.keys(subject.task.key)
    client = Client(subject.port, HOST, context(keys.client(0), "1.3"))
    with pytest.raises(AnswerError, match="421"):
        client.ask(Heads("other.bench.test", ["/b0"]).next())
    client.close()


def test_heads_differ_from_request_to_request_only_where_they_are_told_to() -> None:
    """Two fields have new values each time; ten fields make a head."""
    varying, same = Heads(HOST, ["/a"]), Heads(HOST, ["/a"], varying=False)
    assert len({varying.next() for _ in range(1_000)}) == 1_000
    assert len({same.next() for _ in range(10)}) == 1
    assert len(re.findall(rb"\r\n[A-Za-z-]+: ", varying.next())) == 10


class Script:
    """A client whose answers take as long as a script says, over a real socket pair."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.fd = self.near.fileno()
        self.due = 0.0
        self.asked = 0

    def nonblocking(self) -> None:
        """Do nothing: it only reads what epoll announced."""

    def send(self, _request: bytes) -> None:
        """Answer at once."""
        self.asked += 1
        self.far.send(b"x")

    def receive(self) -> bool:
        """Take the answer."""
        return self.near.recv(1) == b"x"


def test_the_closed_loop_asks_on_all_connections() -> None:
    """Not only on those that answer first: open connections are what a row is about."""
    clients = [Script() for _ in range(50)]
    outcome = closed(clients, Heads(HOST, ["/"]), 200)  # type: ignore[arg-type]
    assert outcome.count == 200
    assert sum(client.asked for client in clients) == 200
    assert min(client.asked for client in clients) > 1


def test_a_pause_is_seen_by_every_request_that_was_due_in_it() -> None:
    """One connection that answers late makes those behind it late: no coordinated omission.

    The clocks of two processors of a virtual machine may differ by a twentieth of the millisecond between requests.
    """
    slow, pause, between = Script(), 0.02, 0.001
    slow.send = lambda _request: None  # type: ignore[method-assign]
    calls: list[float] = []

    def receive() -> bool:
        calls.append(time.perf_counter())
        if calls[-1] < calls[0] + pause:
            return False
        slow.near.recv(1)
        return True

    slow.receive = receive  # type: ignore[method-assign]
    slow.far.send(b"x" * 100)
    outcome = paced([slow], Heads(HOST, ["/"]), rate=1 / between, seconds=0.05)  # type: ignore[list-item]
    assert len(outcome.latencies) == 50
    assert outcome.latencies[0] > pause - between
    assert min(later - earlier for earlier, later in pairwise(outcome.latencies)) > -1.2 * between


def test_percentiles_are_ranks() -> None:
    """Of a hundred values, the 99th is the last but none."""
    values = [float(number) for number in range(100)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [0.0, 50.0, 99.0, 99.0]


def test_the_site_makes_three_certificates_a_side(tmp_path: Path) -> None:
    """Leaf and intermediate are shown, the root is known."""
    keys = Site(tmp_path, 1).keys("ecdsa")
    assert keys.server(0).read_text().count("BEGIN CERTIFICATE") == 2
    assert keys.client(0).read_text().count("BEGIN CERTIFICATE") == 2
    assert keys.anchor.read_text().count("BEGIN CERTIFICATE") == 1
