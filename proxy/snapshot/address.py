"""Addresses: where to listen and where to connect, parsed once from the configuration's text."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from proxy.decide.request.route import normalise_host

MAX_PORT: Final = 65535
MAX_SOCKET_PATH: Final = 107
"""Octets of a Unix socket's path (unix(7): sun_path has 108 with its final NUL)."""

HTTP_PORT: Final = 80
_HOST_PORT: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_UNIX: Final = "http://unix:"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect or to listen: an IP address or name with a port, or a Unix socket's ``path``."""

    host: str
    port: int
    path: str | None = None

    def __str__(self) -> str:
        """Write the address as the configuration does."""
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_listen(text: str) -> Address:
    """Parse ``0.0.0.0:8443`` or ``[::]:8443``: an IP address or ``localhost``, and a port (0: any free one).

    Raises ValueError saying what is expected.
    """
    expected = "an IP address and a port, such as 0.0.0.0:8443 or [::]:8443"
    host, port = _split(text, expected)
    if port is None or not (host == "localhost" or _is_ip(host)):
        raise ValueError(f"{text!a} is not {expected}")
    return Address(host, port)


def parse_server(text: str, base: Path) -> Address:
    """Parse an upstream's server: ``http://host:port``, or ``http://unix:/run/app.sock`` (relative to ``base``).

    Raises ValueError saying what is expected; the text is not repeated there, for it may hold a password.
    """
    if text.startswith("https://"):
        raise ValueError("https:// servers are not supported: the proxy is meant to sit beside the app; use http://")
    if text.startswith(_UNIX):
        return Address("", 0, _socket_path(text.removeprefix(_UNIX), base))
    expected = "http://host:port or http://unix:/path/app.sock"
    authority = text.removeprefix("http://")
    if authority == text:
        raise ValueError(f"a server is written {expected}")
    for mark, what in {"@": "a user name or password", "/": "a path", "?": "a query", "#": "a fragment"}.items():
        if mark in authority:
            raise ValueError(f"a server takes no {what.removeprefix('a ')}; it is written {expected}")
    host, port = _split(authority, expected)
    if port == 0 or not (_is_ip(host) or _is_name(host)):
        raise ValueError(f"a server is written {expected}, with a port from 1 to {MAX_PORT}")
    return Address(host, HTTP_PORT if port is None else port)


def _split(text: str, expected: str) -> tuple[str, int | None]:
    match = _HOST_PORT.fullmatch(text)
    if match is None or not match[1]:
        raise ValueError(f"{text!a} is not {expected}")
    port = None if match[2] is None else int(match[2])
    if port is not None and port > MAX_PORT:
        raise ValueError(f"{port} is not a port; the highest is {MAX_PORT}")
    host = match[1]
    if host.startswith("["):
        host = host[1:-1]
        if ":" not in host or not _is_ip(host):
            raise ValueError(f"{text!a} has no IPv6 address in its brackets")
    return host, port


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host  # a zone is a number of this boot, not an address


def _is_name(host: str) -> bool:
    return normalise_host(host) == host.lower().removesuffix(".")


def _socket_path(text: str, base: Path) -> str:
    if not text or text.endswith("/"):
        raise ValueError("a Unix socket is written http://unix:/path/app.sock")
    path = str(base / text)
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise ValueError(f"the socket's path is longer than the system's {MAX_SOCKET_PATH} octets")
    return path
