"""No session is resumed: whoever comes again is judged again."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.operate.demo.pki import CredentialFiles, Leaf
from tests.support.harness import PATIENCE, TlsClient
from tests.support.messages import CERTIFICATE_REQUEST, NEW_SESSION_TICKET, Received
from tests.support.site import Site, host

NAME = host("required")
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


def client_context(version: ssl.TLSVersion, files: CredentialFiles | None) -> ssl.SSLContext:
    """Make a client that speaks one version and believes every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if files is not None:
        context.load_cert_chain(files.chain, files.key)
    return context


@contextmanager
def connected(
    site: Site, context: ssl.SSLContext, address: str, session: ssl.SSLSession | None = None
) -> Iterator[ssl.SSLSocket]:
    """Connect from ``address`` and offer to resume ``session``."""
    with (
        socket.create_connection(("127.0.0.1", site.proxy.port), PATIENCE, (address, 0)) as raw,
        context.wrap_socket(raw, server_hostname=NAME, session=session) as tls,
    ):
        yield tls


def asked(tls: ssl.SSLSocket) -> bytes:
    """Send a request, so that tickets would have arrived before its answer."""
    tls.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    return tls.recv(65536)


def ticket_of_a_generous_server(site: Site, context: ssl.SSLContext) -> ssl.SSLSession:
    """Get a resumable session from a server of the same name with the same certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(site.folder / "tls" / "chain.pem", site.folder / "tls" / "key.pem")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = context.wrap_bio(down, up, server_hostname=NAME)
    there = server.wrap_bio(up, down, server_side=True)
    for side in (here, there, here, there):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    there.write(b"after the tickets")
    assert here.read(64) == b"after the tickets"
    assert here.session is not None
    assert here.session.has_ticket
    return here.session


@pytest.mark.parametrize("tls12", [True, False], ids=["1.2", "1.3"])
def test_no_ticket_is_sent(site: Site, tls12: bool) -> None:
    """A handshake and a request bring no NewSessionTicket in either version."""
    received = Received()
    credential = site.cdn.issue(Leaf(subject="edge"))
    with TlsClient(site.proxy.port, NAME, credential, tls12=tls12, prepare=received.watch).handshake() as client:
        assert client.get("/", NAME).status == 200
    assert CERTIFICATE_REQUEST in received.types
    assert NEW_SESSION_TICKET not in received.types


@VERSIONS
def test_a_client_that_comes_again_shows_its_certificate_again(
    site: Site, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """The session of the first connection cannot be resumed, and the second line of the log has the certificate."""
    context = client_context(version, site.cdn.issue(Leaf(subject="edge again")).write(tmp_path))
    with connected(site, context, site.address()) as first:
        assert asked(first).startswith(b"HTTP/1.1 200")
        session = first.session
    assert session is None or not session.has_ticket
    assert version is ssl.TLSVersion.TLSv1_3 or session is None or session.id == b""
    address = site.address()
    with connected(site, context, address, session) as second:
        assert asked(second).startswith(b"HTTP/1.1 200")
        assert second.session_reused is False
    assert site.line("handshake.accepted", address)["certificate"]["subject"] == "CN=edge again"


@VERSIONS
def test_a_foreign_ticket_leads_to_a_full_handshake(site: Site, version: ssl.TLSVersion, tmp_path: Path) -> None:
    """A resumable session of another server is passed over."""
    context = client_context(version, site.cdn.issue(Leaf(subject="edge ticket")).write(tmp_path))
    address = site.address()
    with connected(site, context, address, ticket_of_a_generous_server(site, context)) as tls:
        assert asked(tls).startswith(b"HTTP/1.1 200")
        assert tls.session_reused is False
    assert site.line("handshake.accepted", address)["certificate"]["subject"] == "CN=edge ticket"


@VERSIONS
def test_a_ticket_is_no_certificate(site: Site, version: ssl.TLSVersion) -> None:
    """A client that offers to resume but has no certificate is refused like any other."""
    context = client_context(version, None)
    address = site.address()
    session = ticket_of_a_generous_server(site, context)
    with pytest.raises(ssl.SSLError), connected(site, context, address, session) as tls:
        asked(tls)
    assert site.line("handshake.refused", address)["reason"] == "no-certificate"
