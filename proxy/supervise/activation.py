"""Socket activation: listening sockets that the service manager has opened and hands over (sd_listen_fds(3)).

They stay open while the program is replaced, so that no connection is refused meanwhile. Each is matched to an address
of the configuration; one without its address, and an address without its socket, end the start.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from proxy.snapshot.address import Address

FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START: the first behind the standard ones."""

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6})


@dataclass(frozen=True, slots=True)
class Handed:
    """The sockets that were handed over, with their names in the unit; none where the program was just started."""

    sockets: tuple[tuple[str, socket.socket], ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.sockets)

    def match(self, addresses: Sequence[Address]) -> Iterator[tuple[Address, socket.socket]]:
        """Yield each address with its socket. Raises OSError where the two lists are not of one mind."""
        known = {_place(sock): sock for _, sock in self.sockets}
        wanted = {_wanted(address): address for address in addresses}
        for place, address in wanted.items():
            if place not in known:
                message = f"listen: {address} was not handed over by the service manager; it hands over {self._shown()}"
                raise _mismatch(f"{message}. Have both the .socket unit and the configuration name it")
        for name, sock in self.sockets:
            if _place(sock) not in wanted:
                message = f"the service manager hands over {_text(sock)} ({name}), which is no address below listen"
                raise _mismatch(f"{message}: {', '.join(map(str, addresses))}")
        for place, address in wanted.items():
            yield address, known[place]

    def _shown(self) -> str:
        return ", ".join(f"{_text(sock)} ({name})" for name, sock in self.sockets)


def take_handed(environment: MutableMapping[str, str] = os.environ, process: int | None = None) -> Handed:
    """Take what was handed over to this process, and leave no trace of it for its children.

    Raises OSError where it cannot be used.
    """
    values = {name: environment.pop(name, "") for name in _VARIABLES}
    if values["LISTEN_PID"] != str(process or os.getpid()):
        return Handed()
    if not values["LISTEN_FDS"].isdecimal():
        raise _mismatch(f"LISTEN_FDS: {values['LISTEN_FDS']!a} is no number of sockets")
    count = int(values["LISTEN_FDS"])
    names = values["LISTEN_FDNAMES"].split(":") if values["LISTEN_FDNAMES"] else []
    names += ["unknown"] * (count - len(names))
    handed = tuple((names[place], _take(FIRST_DESCRIPTOR + place, names[place])) for place in range(count))
    places = [_place(sock) for _, sock in handed]
    for (name, sock), place in zip(handed, places, strict=True):
        if places.count(place) > 1:
            raise _mismatch(f"the service manager hands over {_text(sock)} ({name}) more than once")
    return Handed(handed)


def _take(descriptor: int, name: str) -> socket.socket:
    what = f"descriptor {descriptor} ({name}) of the service manager"
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        listens = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError as fault:
        raise _mismatch(f"{what} is no socket: {fault.strerror}") from fault
    if sock.family not in _FAMILIES or sock.type != socket.SOCK_STREAM or not listens:
        raise _mismatch(f"{what} is no listening TCP socket; the .socket unit needs ListenStream= and Accept=no")
    sock.setblocking(False)
    return sock


def _place(sock: socket.socket) -> tuple[str, int]:
    host, port = sock.getsockname()[:2]
    return host, port


def _wanted(address: Address) -> tuple[str, int]:
    host = "127.0.0.1" if address.host == "localhost" else str(ip_address(address.host))
    return host, address.port


def _text(sock: socket.socket) -> str:
    return str(Address(*_place(sock)))


def _mismatch(message: str) -> OSError:
    return OSError(errno.EINVAL, message)
