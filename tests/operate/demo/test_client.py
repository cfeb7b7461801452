"""The demo's client sends what the table says, and names what it gets."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.operate.demo import pki
from proxy.operate.demo.client import Alert, Answer, Broken, Request, Target, alert_name, head_of, send

RESPONSE = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"


@contextmanager
def server(folder: Path, *, clients: pki.Authority | None, response: bytes = RESPONSE) -> Iterator[Target]:
    """Serve one connection over TLS, asking for a certificate of ``clients``, and answer with ``response``."""
    ca = pki.Authority.root("server CA")
    files = ca.issue(pki.Leaf(dns=("a.example",), eku=pki.SERVER)).write(folder / "server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.chain, files.key)
    if clients is not None:
        context.load_verify_locations(clients.write(folder / "clients.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_one, args=(listener, context, response))
        thread.start()
        yield Target(listener.getsockname()[1], "a.example", ca.write(folder / "ca.pem"))
        thread.join()


def serve_one(listener: socket.socket, context: ssl.SSLContext, response: bytes) -> None:
    """Take one connection; after a refusal, read until the client closes, lest a reset overtake the alert."""
    raw, _ = listener.accept()
    raw.settimeout(10)
    with context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as tls:
        try:
            tls.do_handshake()
        except ssl.SSLError:
            tls.shutdown(socket.SHUT_WR)
            while tls.recv(65536):
                pass
            return
        tls.recv(65536)
        tls.sendall(response)


def test_the_head_is_written_byte_for_byte() -> None:
    """Neither path nor fields are tidied up: that is what the demo tries."""
    target = Target(8443, "a.example", Path("ca.pem"))
    fields = (("client_cert", "x"), ("Client-Cert", "y"))
    assert head_of(Request(path="/a/../%2e", host="b.example", fields=fields), target) == (
        b"GET /a/../%2e HTTP/1.1\r\nHost: b.example\r\nclient_cert: x\r\nClient-Cert: y\r\nConnection: close\r\n\r\n"
    )
    assert b"Host: a.example\r\n" in head_of(Request(path="/"), target)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("TLSV1_ALERT_UNKNOWN_CA", "unknown_ca"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "certificate_expired"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate_required"),
        ("TLSV1_UNRECOGNIZED_NAME", "unrecognized_name"),
        ("ssl/tls alert bad certificate", "bad_certificate"),
        ("CERTIFICATE_VERIFY_FAILED", None),
        (None, None),
    ],
)
def test_an_alert_is_named_as_in_the_rfc(reason: str | None, expected: str | None) -> None:
    """OpenSSL's own spelling differs by alert and by version; its other faults are no alerts."""
    fault = ssl.SSLError()
    fault.reason = reason
    assert alert_name(fault) == expected


def test_a_response_is_an_answer(tmp_path: Path) -> None:
    """Status and body arrive as they were sent."""
    with server(tmp_path, clients=None) as target:
        assert send(target, Request(path="/"), None) == Answer(403, b"no")


def test_an_admitted_client_shows_its_certificate(tmp_path: Path) -> None:
    """The credential's files are what the handshake uses."""
    ca = pki.Authority.root("client CA")
    files = ca.issue(pki.Leaf(subject="x")).write(tmp_path / "x")
    with server(tmp_path, clients=ca) as target:
        assert send(target, Request(path="/"), files) == Answer(403, b"no")


def test_a_refusal_in_the_handshake_is_an_alert(tmp_path: Path) -> None:
    """In TLS 1.3 the alert arrives after the client believes to be done."""
    files = pki.Authority.root("rogue CA").issue(pki.Leaf(subject="x")).write(tmp_path / "x")
    with server(tmp_path, clients=pki.Authority.root("client CA")) as target:
        assert send(target, Request(path="/"), files) == Alert("unknown_ca")


@pytest.mark.parametrize("response", [b"", b"SSH-2.0\r\n\r\n"], ids=["nothing", "not HTTP"])
def test_what_is_neither_answer_nor_alert_is_broken(tmp_path: Path, response: bytes) -> None:
    """A connection that ends without an answer is reported, not raised."""
    with server(tmp_path, clients=None, response=response) as target:
        assert isinstance(send(target, Request(path="/"), None), Broken)
