"""The pool: connections are kept, bounded, spread over the servers, and given up in time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from proxy.decide.verdict import Reason
from proxy.forward.exchange import Exchange
from proxy.forward.pool import SHUN, Pool, PoolLimits
from proxy.observe.counters import UpstreamMetrics
from proxy.snapshot.model import Address, Upstream
from tests.support.gateway import free_port
from tests.support.harness import RawOrigin
from tests.support.relay import PERMIT, Client, make_head

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LIMITS = PoolLimits(max_connections=4, max_idle=2, connect_timeout=1, idle_timeout=10)


class Waiting(Client):
    """A client whose exchange's end can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()

    def response_done(self) -> None:
        """Wake who waits."""
        super().response_done()
        self.over.set()

    def response_failed(self, reason: Reason, detail: str) -> None:
        """Wake who waits."""
        super().response_failed(reason, detail)
        self.over.set()


class Bench:
    """A pool on the running loop."""

    def __init__(self, *servers: Address, limits: PoolLimits = LIMITS) -> None:
        self.counters = UpstreamMetrics()
        self.pool = Pool(Upstream("app", servers), limits, self.counters, asyncio.get_running_loop())

    def start(self) -> tuple[Exchange, Waiting]:
        """Start an exchange."""
        client = Waiting()
        exchange = Exchange(PERMIT, client, self.pool, make_head(), REQUEST, has_body=False)
        exchange.start()
        return exchange, client

    async def ask(self) -> Waiting:
        """Exchange a request for its response."""
        _, client = self.start()
        await asyncio.wait_for(client.over.wait(), 10)
        return client


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario on the loop that the proxy uses."""

    async def whole() -> None:
        await scenario()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())


def silent(connection: socket.socket, _origin: RawOrigin) -> None:
    """Read, and never answer."""
    while connection.recv(65536):
        pass


@pytest.fixture
def origins() -> Iterator[Callable[..., tuple[RawOrigin, Address]]]:
    """Start apps."""
    with ExitStack() as stack:

        def start(script: Any = None) -> tuple[RawOrigin, Address]:
            origin = stack.enter_context(RawOrigin(script))
            return origin, Address("127.0.0.1", origin.port)

        yield start


Origins = Callable[..., tuple[RawOrigin, Address]]


def test_a_connection_is_kept_and_used_again(origins: Origins) -> None:
    """One for ten requests that follow each other."""
    origin, address = origins()

    async def scenario() -> None:
        bench = Bench(address)
        for _ in range(10):
            assert (await bench.ask()).got.endswith(b"ok\n")
        counters = bench.counters
        assert (counters.connects_total, counters.reused_total, counters.connections_open) == (1, 9, 1)
        await bench.pool.close()

    run(scenario)
    assert origin.connections == 1


def test_only_so_many_are_kept(origins: Origins) -> None:
    """Four at a time, of which two stay."""
    _, address = origins()

    async def scenario() -> None:
        bench = Bench(address)
        clients = [bench.start()[1] for _ in range(4)]
        for client in clients:
            await asyncio.wait_for(client.over.wait(), 10)
        assert bench.counters.connects_total == 4
        await asyncio.gather(*(bench.ask() for _ in range(3)))
        assert (bench.counters.connects_total, bench.counters.reused_total) == (5, 2)
        await bench.pool.close()

    run(scenario)


def test_an_idle_connection_is_closed_in_time(origins: Origins) -> None:
    """Before the app would close it in the face of a request."""
    _, address = origins()

    async def scenario() -> None:
        bench = Bench(address)
        bench.pool.tick(100.0)
        await bench.ask()
        bench.pool.tick(110.0)
        assert bench.pool.take() is not None
        await bench.ask()
        bench.pool.tick(120.1)
        assert bench.pool.take() is None
        await bench.pool.close()

    run(scenario)


def test_too_many_connections_are_busy(origins: Origins) -> None:
    """The fifth request is refused at once, and the others go on."""
    _, address = origins(silent)

    async def scenario() -> None:
        bench = Bench(address)
        held = [bench.start()[0] for _ in range(4)]
        busy = await bench.ask()
        assert busy.failure is not None
        assert busy.failure[0] is Reason.UPSTREAM_BUSY
        assert "all 4 connections are in use" in busy.failure[1]
        for exchange in held:
            exchange.cancel()
        await bench.pool.close()

    run(scenario)


def test_servers_take_turns(origins: Origins) -> None:
    """New connections go round, and so do requests on kept ones."""
    both = [origins() for _ in range(2)]

    async def scenario() -> None:
        bench = Bench(*(address for _, address in both), limits=replace(LIMITS, max_idle=0))
        for _ in range(4):
            await bench.ask()
        assert [origin.connections for origin, _ in both] == [2, 2]
        await bench.pool.close()
        bench = Bench(*(address for _, address in both))
        await asyncio.gather(bench.ask(), bench.ask())
        for _ in range(20):
            await bench.ask()
        assert bench.counters.connects_total == 2
        await bench.pool.close()

    run(scenario)
    assert [origin.seen.qsize() for origin, _ in both] == [13, 13]


def test_a_server_that_is_down_is_passed_over(origins: Origins) -> None:
    """The client does not notice."""
    origin, address = origins()
    dead = Address("127.0.0.1", free_port())

    async def scenario() -> None:
        bench = Bench(dead, address, dead, limits=replace(LIMITS, max_idle=0))
        for _ in range(6):
            assert (await bench.ask()).failure is None
        assert bench.counters.connect_failures_total > 0
        await bench.pool.close()

    run(scenario)
    assert origin.seen.qsize() == 6


def test_where_all_are_down_the_refusal_names_them() -> None:
    """With what the kernel said, for the log."""
    ports = free_port(), free_port()

    async def scenario() -> None:
        bench = Bench(*(Address("127.0.0.1", port) for port in ports))
        failure = (await bench.ask()).failure
        assert failure is not None
        assert failure[0] is Reason.UPSTREAM_UNAVAILABLE
        assert all(str(port) in failure[1] for port in ports)
        assert "refused" in failure[1].lower()
        assert bench.counters.connections_open == 0
        await bench.pool.close()

    run(scenario)


def test_a_name_that_does_not_resolve_is_unavailable() -> None:
    """RFC 6761 keeps ``.invalid`` from ever resolving."""

    async def scenario() -> None:
        bench = Bench(Address("nobody.invalid", 80))
        failure = (await bench.ask()).failure
        assert failure is not None
        assert failure[0] is Reason.UPSTREAM_UNAVAILABLE
        await bench.pool.close()

    run(scenario)


def test_a_connection_that_does_not_come_about_in_time_is_a_timeout() -> None:
    """The listener's queue is full, so the kernel does not even answer."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)

        async def scenario() -> None:
            bench = Bench(Address(*address))
            failure = (await bench.ask()).failure
            assert failure == (
                Reason.UPSTREAM_TIMEOUT,
                f"upstream app: 127.0.0.1:{address[1]}: no connection within 1 s",
            )
            await bench.pool.close()

        run(scenario)


def test_a_unix_socket_is_an_app_like_any_other(tmp_path: Path) -> None:
    """Its server's name is its path."""

    async def scenario() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix")
            writer.close()

        path = str(tmp_path / "app.sock")
        server = await asyncio.start_unix_server(serve, path)
        bench = Bench(Address("", 0, path))
        for _ in range(3):
            assert (await bench.ask()).got.endswith(b"unix")
        assert bench.counters.connects_total == 1
        await bench.pool.close()
        server.close()

    run(scenario)


def test_a_kept_connection_that_the_app_closed_is_forgotten(origins: Origins) -> None:
    """Before anybody gets it, if the close has been seen by then; else the request is repeated."""

    def once(connection: socket.socket, _origin: RawOrigin) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    _, address = origins(once)

    async def scenario() -> None:
        bench = Bench(address)
        for _ in range(10):
            assert (await bench.ask()).failure is None
        counters = bench.counters
        assert counters.connects_total == 10
        assert counters.reused_total == counters.retries_total
        await bench.pool.close()

    run(scenario)


def test_a_closed_pool_leaves_nothing_behind(origins: Origins) -> None:
    """Neither idle connections nor attempts."""
    _, address = origins()

    async def scenario() -> None:
        bench = Bench(address)
        await bench.ask()
        _, pending = bench.start()
        bench.pool.take()
        bench.start()
        await bench.pool.close()
        assert bench.pool.take() is None
        assert not bench.pool._dials
        assert pending.failure is None

    run(scenario)


def test_servers_take_turns_from_the_first_request_on(origins: Origins) -> None:
    """Also one client alone gets round: the turn counts, and not who has a connection already."""
    three = [origins() for _ in range(3)]

    async def scenario() -> None:
        bench = Bench(*(address for _, address in three))
        for _ in range(12):
            await bench.ask()
        assert (bench.counters.connects_total, bench.counters.reused_total) == (3, 9)
        await bench.pool.close()

    run(scenario)
    assert [origin.seen.qsize() for origin, _ in three] == [4, 4, 4]


def test_a_server_that_cannot_be_reached_is_left_alone_for_a_while(origins: Origins) -> None:
    """Dialled once, passed over until the time is up, and then once more; meanwhile nobody is refused."""
    _, address = origins()

    async def scenario() -> None:
        bench = Bench(Address("127.0.0.1", free_port()), address)
        for now, failures in ((100.0, 1), (100.0 + SHUN - 0.1, 1), (100.0 + SHUN, 2)):
            bench.pool.tick(now)
            for _ in range(4):
                assert (await bench.ask()).failure is None
            assert bench.counters.connect_failures_total == failures
        await bench.pool.close()

    run(scenario)


def test_where_all_servers_are_left_alone_they_are_asked_all_the_same() -> None:
    """The app may be back since; each request finds out."""
    port = free_port()

    async def scenario() -> None:
        bench = Bench(Address("127.0.0.1", port), limits=replace(LIMITS, max_idle=0))
        for _ in range(3):
            assert (await bench.ask()).failure is not None
        assert bench.counters.connect_failures_total == 3
        with socket.create_server(("127.0.0.1", port)) as listener:
            exchange, _ = bench.start()
            connection, _ = await asyncio.to_thread(listener.accept)
            connection.close()
            exchange.cancel()
        await bench.pool.close()

    run(scenario)


def test_an_exception_of_ours_while_connecting_ends_the_exchange() -> None:
    """At once, and nothing is left open; the event loop hears of it."""
    heard: list[dict[str, Any]] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
        bench = Bench(Address("a" * 70 + ".example", 80))  # which no DNS name can hold: a UnicodeError
        failure = (await bench.ask()).failure
        assert failure is not None
        assert failure[0] is Reason.INTERNAL_ERROR
        assert bench.counters.connections_open == 0
        await bench.pool.close()

    run(scenario)
    assert [str(context["message"]) for context in heard] == ["connecting to upstream app"]
