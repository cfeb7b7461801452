"""Hosts: which addresses out of certificates may be asked. Their issuers write them; we allow them by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

MAX_URL: Final = 1024
"""Octets of an address in a certificate: responders' and CRLs' have some dozens to two hundred."""

MAX_URLS: Final = 4
"""Addresses of one kind that are tried for one certificate: CAs write one or two."""

_PORTS: Final = {"http": 80, "https": 443}
_PLAIN: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,62})\.)*[a-z0-9_][a-z0-9_-]{0,62}|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Host:
    """One entry of a list: a host (``*.`` in front stands for one label), and its port if it is not the scheme's."""

    name: str
    port: int | None = None

    def __str__(self) -> str:
        """Write the entry as the configuration does."""
        return self.name if self.port is None else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Hosts:
    """Those that may be asked; an empty list allows nobody."""

    entries: tuple[Host, ...] = ()

    def __str__(self) -> str:
        """List them."""
        return ", ".join(map(str, self.entries)) or "nobody"

    def allows(self, url: str) -> bool:
        """Tell whether an address may be asked: http or https, of an allowed host, at an allowed port."""
        place = place_of(url)
        if place is None:
            return False
        scheme, name, port = place
        above = "*." + name.partition(".")[2]
        return any(
            entry.name in (name, above) and port == (_PORTS[scheme] if entry.port is None else entry.port)
            for entry in self.entries
        )


def place_of(url: str) -> tuple[str, str, int] | None:
    """Return the scheme, host and port of an http(s) address; None for what is none, or could be read in two ways."""
    if len(url) > MAX_URL or _PLAIN.fullmatch(url) is None or "\\" in url or "@" in url.split("?", maxsplit=1)[0]:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    name = (parts.hostname or "").removesuffix(".")
    name = f"[{name}]" if ":" in name else name
    if parts.scheme not in _PORTS or name.startswith("*") or _HOST.fullmatch(name) is None:
        return None
    return parts.scheme, name, _PORTS[parts.scheme] if port is None else port


def parse_host(text: str) -> Host:
    """Read an entry such as ``ocsp.pki.example``, ``*.pki.example`` or ``pki.corp:8080``. Raises ValueError."""
    match = re.fullmatch(r"(.+?)(?::([0-9]{1,5}))?", text.lower())
    name = "" if match is None else match[1].removesuffix(".")
    port = None if match is None or match[2] is None else int(match[2])
    if _HOST.fullmatch(name) is None or (port is not None and not 0 < port < 1 << 16):
        raise ValueError(f"{text!a} is not a host such as ocsp.pki.example, *.pki.example or pki.corp.example:8080")
    return Host(name, port)
