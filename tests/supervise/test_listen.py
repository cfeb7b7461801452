"""Listening sockets: how they are bound, who else is there, and how one is left without losing anybody."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.snapshot.address import Address
from proxy.supervise.activation import Handed
from proxy.supervise.listen import BACKLOG, Listener, bind, close_all, hush, open_listeners, shared_with

LOCAL = Address("127.0.0.1", 0)
PATIENCE = 5.0


@contextmanager
def opened(*addresses: Address, workers: int = 1) -> Iterator[tuple[Listener, ...]]:
    """Open listeners for the length of a block."""
    listeners = open_listeners(addresses, Handed(), workers)
    try:
        yield listeners
    finally:
        close_all(listeners)


def test_each_worker_has_a_socket_of_its_own_on_the_port_that_the_first_one_got() -> None:
    """Also where the choice of the port was the system's."""
    with opened(LOCAL, Address("127.0.0.2", 0), workers=3) as (one, two):
        assert [len({sock.getsockname() for sock in listener.sockets}) for listener in (one, two)] == [1, 1]
        assert len({sock.fileno() for sock in (*one.sockets, *two.sockets)}) == 6
        assert one.shown == ":".join(map(str, one.sockets[0].getsockname()))


def test_nobody_is_listened_to_before_there_is_somebody_to_listen() -> None:
    """A client that connects before the start is complete is refused, and does not wait for a start that may fail."""
    with opened(LOCAL) as (listener,), pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.sockets[0].getsockname(), PATIENCE)


def test_an_ipv6_socket_takes_ipv6_only() -> None:
    """``0.0.0.0`` and ``[::]`` stand side by side in a configuration, on one port."""
    try:
        bound = bind(Address("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with bound:
        assert bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_a_taken_address_is_named_and_no_socket_stays_behind() -> None:
    """Or a later start would find the port taken by nobody."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before = set(Path("/proc/self/fd").iterdir())
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match=f"cannot listen on {address}: Address already in use") as fault:
            open_listeners([LOCAL, address], Handed(), 2)
        assert fault.value.errno == errno.EADDRINUSE
        assert set(Path("/proc/self/fd").iterdir()) == before


def listening(listeners: tuple[Listener, ...]) -> list[socket.socket]:
    """Listen on every socket, and return them."""
    sockets = [sock for listener in listeners for sock in listener.sockets]
    for sock in sockets:
        sock.listen(BACKLOG)
        sock.setblocking(False)
    return sockets


def test_who_else_listens_is_known() -> None:
    """Sockets of our own are nobody else; a socket on another address of the port is not in our way."""
    with opened(LOCAL, workers=2) as ours:
        mine = listening(ours)
        port = mine[0].getsockname()[1]
        assert shared_with(mine) == frozenset()
        with opened(Address("127.0.0.3", port)) as apart:
            listening(apart)
            assert shared_with(mine) == frozenset()
        with opened(Address("127.0.0.1", port)) as beside:
            listening(beside)
            assert shared_with(mine) == frozenset(mine)
            assert shared_with([]) == frozenset()
        assert shared_with(mine) == frozenset()


def test_a_wildcard_listens_on_every_address() -> None:
    """So it is in the way of all of them."""
    with opened(LOCAL) as ours:
        mine = listening(ours)
        with opened(Address("0.0.0.0", mine[0].getsockname()[1])) as beside:
            listening(beside)
            assert shared_with(mine) == frozenset(mine)


def test_who_may_not_look_does_not_know(tmp_path: Path) -> None:
    """And has to expect somebody."""
    (tmp_path / "tcp").mkdir()
    with opened(LOCAL) as ours:
        assert shared_with(listening(ours), [tmp_path / "tcp"]) is None


def accept_all(listening_socket: socket.socket) -> list[socket.socket]:
    """Accept whatever waits in the queue."""
    accepted = []
    while select.select([listening_socket], [], [], 0)[0]:
        accepted.append(listening_socket.accept()[0])
    return accepted


def test_a_deaf_socket_is_closed_without_a_connection_reset_or_refused() -> None:
    """What it had in its queue is accepted; who begins meanwhile begins again, and reaches the one that stays."""
    with opened(LOCAL, workers=2) as (listener,):
        leaving, staying = listening((listener,))
        clients = [_connecting(leaving) for _ in range(20)]
        hush(leaving)
        early = accept_all(leaving)
        assert early
        clients += [_connecting(staying) for _ in range(20)]
        assert accept_all(leaving) == []
        leaving.close()
        for client in clients:
            assert select.select([], [client], [], PATIENCE)[1], "a connection came to nothing"
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        late = accept_all(staying)
        assert len(early) + len(late) == len(clients)
        for sock in (*clients, *early, *late):
            sock.close()


def _connecting(listening_socket: socket.socket) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(listening_socket.getsockname())
    return client
