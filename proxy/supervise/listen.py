"""Listening sockets: one per worker and address, bound here or handed over by the service manager.

All of them have SO_REUSEPORT, so that a new instance can start beside an old one. The kernel spreads new connections
over all sockets of a port; it resets what waits in the queue of one that is closed. So where somebody else listens on
the port, too, a socket is first made deaf to *new* connections, what is in its queue or on its way there is accepted,
and only then is it closed (``hush``, ``HANDOVER_SECONDS``).
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.snapshot.address import Address
from proxy.supervise.activation import Handed

BACKLOG: Final = 4096
"""Connections that the kernel queues while the loop is busy: several bursts of handshakes of a CDN."""

HANDOVER_SECONDS: Final = 0.5
"""From the last SYN that is heard to the close, for TCP handshakes under way: longer than the longest round trip."""

_SO_ATTACH_FILTER: Final = 26
_INSTRUCTION: Final = struct.Struct("HBBI")
_PROGRAM: Final = struct.Struct("HP")
_FLAGS_OF_TCP, _SYN_AND_ACK, _SYN = 13, 0x12, 0x02
_DROP_SYN: Final = (
    (0x30, 0, 0, _FLAGS_OF_TCP),  # load the octet of flags
    (0x54, 0, 0, _SYN_AND_ACK),  # keep these two
    (0x15, 0, 1, _SYN),  # the first one alone begins a connection
    (0x06, 0, 0, 0),  # which is not heard: the client sends it once more after a second
    (0x06, 0, 0, 0xFFFFFFFF),  # all else is
)
"""A classic BPF program for a listening socket (Linux, Documentation/networking/filter.rst)."""

TABLES: Final = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
"""The kernel's tables of sockets (proc(5)); there is no second one where there is no IPv6."""

_LISTENING: Final = "0A"
_LOCAL, _STATE, _INODE = 1, 3, 9


@dataclass(frozen=True, slots=True)
class Listener:
    """One address of the configuration, with a socket for each worker.

    ``own`` is false where the service manager has the socket, too: it keeps on listening after us.
    """

    address: Address
    sockets: tuple[socket.socket, ...]
    own: bool = True

    @property
    def shown(self) -> str:
        """The address as it came to be, with the port that the system chose where it was left the choice."""
        return ":".join(map(str, self.sockets[0].getsockname()[:2]))


def open_listeners(addresses: Sequence[Address], handed: Handed, workers: int = 1) -> tuple[Listener, ...]:
    """Bind ``workers`` sockets for each address, or take the one that was handed over. Nobody is listened to yet.

    Raises OSError naming the address; nothing stays open then.
    """
    if handed:
        return tuple(Listener(address, (sock,) * workers, own=False) for address, sock in handed.match(addresses))
    listeners: list[Listener] = []
    try:
        listeners.extend(Listener(address, _bind_all(address, workers)) for address in addresses)
    except OSError:
        close_all(listeners)
        raise
    return tuple(listeners)


def listen_all(listeners: Iterable[Listener]) -> None:
    """Have connections queue at every socket, also before a worker accepts them. Raises OSError naming the address."""
    for listener in listeners:
        for sock in listener.sockets:
            try:
                sock.listen(BACKLOG)
            except OSError as fault:
                raise listen_error(listener.address, fault) from fault


def close_all(listeners: Iterable[Listener]) -> None:
    """Close every socket; again does no harm."""
    for listener in listeners:
        for sock in listener.sockets:
            sock.close()


def _bind_all(address: Address, workers: int) -> tuple[socket.socket, ...]:
    bound: list[socket.socket] = []
    try:
        for _ in range(workers):
            bound.append(bind(address))
            address = Address(address.host, bound[0].getsockname()[1])  # where the choice was the system's
    except OSError as fault:
        for sock in bound:
            sock.close()
        raise listen_error(address, fault) from fault
    return tuple(bound)


def bind(address: Address) -> socket.socket:
    """Bind a socket; one of IPv6 takes IPv6 only, as the configuration names each address by itself."""
    family, kind, protocol, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(target)
    except OSError:
        bound.close()
        raise
    return bound


def listen_error(address: Address, fault: OSError) -> OSError:
    """Say which address cannot be listened on."""
    cause = os.strerror(fault.errno) if fault.errno and fault.errno > 0 else fault.strerror
    return OSError(fault.errno, f"cannot listen on {address}: {cause}")


def hush(listening: socket.socket) -> None:
    """Make a listening socket of our own deaf to new connections, for good."""
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*step) for step in _DROP_SYN))
    program = _PROGRAM.pack(len(_DROP_SYN), ctypes.addressof(code))
    with suppress(OSError):  # a kernel that knows no filters: what is in the queue is accepted all the same
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def shared_with(ours: Collection[socket.socket], tables: Sequence[Path] = TABLES) -> frozenset[socket.socket] | None:
    """Return those of our sockets whose address somebody else listens on, too; None where that cannot be known."""
    by_inode = {str(os.fstat(sock.fileno()).st_ino): sock for sock in ours}
    try:
        places = [place for table in tables if table.exists() for place in _listening(table)]
    except OSError:
        return None
    others = [place for place in places if place.inode not in by_inode]
    mine = [place for place in places if place.inode in by_inode]
    return frozenset(by_inode[place.inode] for place in mine if any(place.meets(other) for other in others))


@dataclass(frozen=True, slots=True)
class _Place:
    """A line about a listening socket in the kernel's table: address and port are hexadecimal."""

    host: str
    port: str
    inode: str

    def meets(self, other: _Place) -> bool:
        """Whether a connection could be for either."""
        return self.port == other.port and (self.host == other.host or not int(self.host, 16) * int(other.host, 16))


def _listening(table: Path) -> Iterator[_Place]:
    """Read the listening sockets, which come first: thousands of connections may follow."""
    with table.open() as lines:
        next(lines)
        for line in lines:
            fields = line.split()
            if fields[_STATE] != _LISTENING:
                return
            host, _, port = fields[_LOCAL].partition(":")
            yield _Place(host, port, fields[_INODE])
