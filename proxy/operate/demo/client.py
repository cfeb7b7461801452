"""The demo's client: one request over real TLS, byte for byte as the table asks for it."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final

from proxy.operate.demo.pki import CredentialFiles

PATIENCE: Final = 10.0
"""Seconds for each step on the socket: everything is on this machine, so whoever is later than that hangs."""

_ALERT: Final = re.compile(r"(?:SSLV3|TLSV1|TLSV13|SSL/TLS)[ _](?:ALERT[ _])?(.+)")
"""How OpenSSL spells an alert that the other side sent; the prefix differs with the alert and its version."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: 127.0.0.1 at ``port``, the name for SNI, and the CA of the server's certificate."""

    port: int
    server_name: str
    ca_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A GET request. ``host`` None means the server name; ``fields`` are further header fields."""

    path: str
    host: str | None = None
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    body: bytes

    def __str__(self) -> str:
        """Write it as the table shows it."""
        return str(self.status)


@dataclass(frozen=True, slots=True)
class Alert:
    """A TLS alert instead of a response, by its name in RFC 8446, section 6."""

    name: str

    def __str__(self) -> str:
        """Write it as the table shows it."""
        return f"alert {self.name}"


@dataclass(frozen=True, slots=True)
class Broken:
    """Neither a response nor an alert; ``what`` says how the connection ended."""

    what: str

    def __str__(self) -> str:
        """Write it as the table shows it."""
        return self.what


def send(target: Target, request: Request, credential: CredentialFiles | None) -> Answer | Alert | Broken:
    """Send one request on a connection of its own, with or without a client certificate."""
    context = ssl.create_default_context(cafile=str(target.ca_file))
    if credential is not None:
        context.load_cert_chain(credential.chain, credential.key)
    try:
        with (
            socket.create_connection(("127.0.0.1", target.port), timeout=PATIENCE) as raw,
            context.wrap_socket(raw, server_hostname=target.server_name) as tls,
        ):
            return _exchange(tls, head_of(request, target))
    except ssl.SSLError as fault:
        alert = alert_name(fault)
        return Broken(str(fault)) if alert is None else Alert(alert)
    except (OSError, HTTPException) as fault:
        return Broken(str(fault) or type(fault).__name__)


def head_of(request: Request, target: Target) -> bytes:
    """Write the request head. The connection ends with its response, so that every row has a handshake of its own."""
    fields = (("Host", request.host or target.server_name), *request.fields, ("Connection", "close"))
    lines = (f"GET {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields))
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def alert_name(fault: ssl.SSLError) -> str | None:
    """Return the name of the alert that the server sent, or None where the fault is another."""
    found = _ALERT.fullmatch((fault.reason or "").upper())
    return None if found is None else found[1].replace(" ", "_").lower()


def _exchange(tls: ssl.SSLSocket, head: bytes) -> Answer:
    """Send and receive. In TLS 1.3 a refusal arrives only now, perhaps before the request is out: read in any case."""
    try:
        tls.sendall(head)
    except ConnectionError as fault:
        return _receive(tls, fault)
    return _receive(tls, None)


def _receive(tls: ssl.SSLSocket, sending: ConnectionError | None) -> Answer:
    try:
        response = HTTPResponse(tls, method="GET")
        response.begin()
        return Answer(response.status, response.read())
    except (ConnectionError, HTTPException) as fault:
        raise fault from sending
