"""Socket activation: what the service manager hands over is taken, matched and told apart from what it should be."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from proxy.snapshot.address import Address
from proxy.supervise.activation import FIRST_DESCRIPTOR, Handed, take_handed

ROOT = Path(__file__).parents[2]


def listening(host: str = "127.0.0.1") -> socket.socket:
    """Listen on any port."""
    return socket.create_server((host, 0))


def address_of(sock: socket.socket) -> Address:
    """Return the address that a socket is bound to."""
    return Address(*sock.getsockname()[:2])


def test_nothing_is_handed_over_to_a_program_that_was_just_started() -> None:
    """Nor is what was meant for another process, such as a parent's."""
    assert not take_handed({})
    other = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "PATH": "/bin"}
    assert not take_handed(other)
    assert other == {"PATH": "/bin"}


def test_sockets_are_matched_to_addresses_whatever_their_order() -> None:
    """Each address has its own."""
    with listening() as one, listening("127.0.0.2") as two:
        handed = Handed((("b.socket", two), ("a.socket", one)))
        wanted = [address_of(one), address_of(two)]
        assert list(handed.match(wanted)) == list(zip(wanted, (one, two), strict=True))


def test_localhost_is_an_address() -> None:
    """The configuration may say so."""
    with listening() as sock:
        address = Address("localhost", sock.getsockname()[1])
        assert list(Handed((("", sock),)).match([address])) == [(address, sock)]


def test_an_address_without_its_socket_ends_the_start() -> None:
    """The error names both sides."""
    with listening() as sock:
        wanted = Address("127.0.0.9", 8443)
        with pytest.raises(OSError, match=r"listen: 127\.0\.0\.9:8443 was not handed over.*") as fault:
            list(Handed((("edge", sock),)).match([address_of(sock), wanted]))
        assert f"{address_of(sock)} (edge)" in str(fault.value)


def test_a_socket_without_its_address_ends_the_start() -> None:
    """Its clients would wait for ever."""
    with listening() as one, listening() as two:
        message = rf"hands over {address_of(two)} \(b\), which is no address below listen"
        with pytest.raises(OSError, match=message):
            list(Handed((("a", one), ("b", two))).match([address_of(one)]))


TAKER = """
import os, sys
sys.path.insert(0, sys.argv[1])
os.environ["LISTEN_PID"] = str(os.getpid())
from proxy.supervise.activation import take_handed
try:
    handed = take_handed()
except OSError as fault:
    print(fault.strerror)
else:
    left = [name for name in os.environ if name.startswith("LISTEN_")]
    print([(name, sock.getsockname()[:2], os.get_inheritable(sock.fileno())) for name, sock in handed.sockets], left)
"""


def taken(sockets: Sequence[socket.socket], **environment: str) -> str:
    """Return what a process says that ``sockets`` are handed over to, as systemd does."""
    command = [sys.executable, "-c", TAKER, str(ROOT)]

    def place() -> None:
        for number, sock in enumerate(sockets):
            os.dup2(sock.fileno(), FIRST_DESCRIPTOR + number, inheritable=True)

    numbers = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + len(sockets))
    found = subprocess.run(
        command, env={**os.environ, "LISTEN_FDS": str(len(sockets)), **environment}, preexec_fn=place,
        pass_fds=[*numbers], capture_output=True, check=True, text=True,
    )  # fmt: skip
    return found.stdout.strip()


def far(sock: socket.socket) -> socket.socket:
    """Move a descriptor out of the way of those that are handed over."""
    return socket.socket(fileno=fcntl.fcntl(sock.detach(), fcntl.F_DUPFD_CLOEXEC, 100))


def test_a_process_takes_what_it_is_handed_and_passes_nothing_on() -> None:
    """Names and sockets come in order; children inherit neither the sockets nor the variables."""
    with far(listening()) as one, far(listening("127.0.0.2")) as two:
        shown = [(name, sock.getsockname()[:2], False) for name, sock in (("edge", one), ("unknown", two))]
        assert taken([one, two], LISTEN_FDNAMES="edge") == f"{shown} []"


def test_what_is_no_listening_socket_is_named() -> None:
    """Accept=yes in the unit passes connections, ListenDatagram= datagrams."""
    ours, theirs = socket.socketpair()
    with far(ours) as pair, theirs:
        assert "descriptor 3 (edge) of the service manager is no listening TCP socket" in taken(
            [pair], LISTEN_FDNAMES="edge"
        )
    with far(socket.socket(type=socket.SOCK_DGRAM)) as datagrams:
        assert "ListenStream= and Accept=no" in taken([datagrams])


def test_a_number_that_is_none_is_an_error() -> None:
    """A service manager that is not one."""
    assert taken([], LISTEN_FDS="many") == "LISTEN_FDS: 'many' is no number of sockets"
