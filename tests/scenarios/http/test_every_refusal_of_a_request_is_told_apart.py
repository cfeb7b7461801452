"""Every refusal of a request is provoked once: its status, its log line, and how little the client learns."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

import pytest

from proxy.decide.request.answer import CLOSING, status_of
from proxy.decide.verdict import Reason
from tests.support.gateway import Client, Gateway, Visit, request, say, swallow

Provoke = Callable[[Gateway, Client], None]


def sending(data: bytes) -> Provoke:
    """Provoke by some octets."""
    return lambda _gateway, client: (client.send(data), None)[1]


def on(handler: Callable[[Visit], None]) -> Provoke:
    """Provoke by what the app does."""

    def provoke(gateway: Gateway, client: Client) -> None:
        client.send(request(gateway.app.on("/provoke", handler)))

    return provoke


def crowd(gateway: Gateway, client: Client) -> None:
    """Ask an app that takes one connection while that is in use."""
    gateway.app.on("/single/held", swallow)
    with ExitStack() as stack:
        busy = stack.enter_context(gateway.admitted())
        busy.send(request("/single/held"))
        gateway.app.saw("/single/held")
        client.send(request("/single/x"))
        client.tls.socket.settimeout(5)
        client._held = client.until(b"\r\n\r\n")


CASES: Final[dict[Reason, tuple[Provoke, str]]] = {
    Reason.BAD_REQUEST: (
        sending(request("/x", "Content-Length: 1", "Content-Length: 1", method="POST")),
        "Content-Length",
    ),
    Reason.AMBIGUOUS_PATH: (sending(request("/a/../b")), "a dot segment in the path '/a/../b'"),
    Reason.HEAD_TOO_LARGE: (sending(request("/x", "X: " + "a" * 40_000)), "longer than 32768 octets"),
    Reason.BODY_TOO_LARGE: (
        sending(request("/small/x", "Content-Length: 2000", method="POST")),
        "2000 octets; /small/",
    ),
    Reason.REQUEST_TIMEOUT: (sending(b"GET /x HT"), "no complete head within 1 s"),
    Reason.HOST_MISMATCH: (sending(request("/x", host="narrow.origin.test")), "'narrow.origin.test'"),
    Reason.UPSTREAM_UNAVAILABLE: (sending(request("/dead/x")), "upstream dead: 127.0.0.1:"),
    Reason.UPSTREAM_BUSY: (crowd, "all 1 connections are in use"),
    Reason.UPSTREAM_TIMEOUT: (on(swallow), "no answer for 1 s"),
    Reason.UPSTREAM_PROTOCOL: (on(say(b"garbage\r\n\r\n")), "upstream app: the answer is not HTTP"),
    Reason.NO_ROUTE: (
        sending(request("/nowhere", host="narrow.origin.test")),
        "no route of narrow.origin.test covers '/nowhere'",
    ),
    Reason.NO_CERTIFICATE: (sending(request("/x")), "asks for a client certificate, and none was shown"),
    Reason.UNTRUSTED_ISSUER: (sending(request("/partners/x")), "X509 error"),
}

JUDGED_IN_THE_HANDSHAKE: Final = frozenset({Reason.NOT_TLS})
NEVER: Final = frozenset({Reason.INTERNAL_ERROR})


def test_the_table_is_complete() -> None:
    """Whatever has a status of its own is a refusal of a request; certificates, at a route, are 403."""
    own = {reason for reason in Reason if status_of(reason) != 403}
    certificate = {Reason.NO_CERTIFICATE, Reason.UNTRUSTED_ISSUER}
    assert set(CASES) == (own - JUDGED_IN_THE_HANDSHAKE - NEVER) | certificate


@pytest.mark.parametrize("reason", CASES, ids=[reason.value for reason in CASES])
def test_a_refusal_has_its_status_and_its_line(hasty: Gateway, reason: Reason) -> None:
    """The client reads a category; the log has the reason, the detail, and who it was."""
    provoke, detail = CASES[reason]
    sni = "narrow.origin.test" if reason is Reason.NO_ROUTE else "origin.test"
    credential = None if reason is Reason.NO_CERTIFICATE else hasty.edge()
    with hasty.client(credential, sni) as client:
        address = client.tls.socket.getsockname()
        provoke(hasty, client)
        answer = client.answer()
        status = status_of(reason)
        assert answer.status == status
        assert (answer.header("connection") == "close") is (status in CLOSING or reason is Reason.BODY_TOO_LARGE)
        names = {name for name, _ in answer.fields}
        assert names <= {"content-type", "content-length", "x-request-id", "connection"}
        assert re.fullmatch(rb"%d [A-Za-z ]+\n" % status, answer.body)
        line = hasty.line(answer.header("x-request-id"))
    assert (line["event"], line["reason"], line["status"], line["level"]) == (
        "request.refused", reason.value, status, "warning",
    )  # fmt: skip
    assert detail in line["detail"]
    assert line["peer"] == "{}:{}".format(*address)
    assert (line["sni"], line["host"], line["generation"]) == (sni, sni, 1)
    assert ("client" in line) is (credential is not None)
    assert line["ms"] >= 0


def test_a_client_that_goes_away_is_logged_as_such(hasty: Gateway) -> None:
    """With no status where no answer had begun, and the app's connection is closed."""
    asked, gone = threading.Event(), threading.Event()

    def wait(visit: Visit) -> None:
        asked.set()
        try:
            swallow(visit)
        finally:
            gone.set()

    path = hasty.app.on("/leave", wait)
    since = hasty.proxy.mark()
    with hasty.admitted() as client:
        client.send(request(path))
        assert asked.wait(10)
        client.tls.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
        client.tls.socket.close()
        line = hasty.proxy.wait_for(lambda line: line.get("reason") == "client-aborted", since)
    assert (line["event"], line["path"], "status" in line) == ("request.refused", path, False)
    assert gone.wait(10)


def test_hostile_text_is_escaped_in_the_line(hasty: Gateway) -> None:
    """Whatever is in a path or a field, a line stays one line of printable ASCII."""
    since = hasty.proxy.mark()
    with hasty.admitted() as client:
        client.send(request('/partners/%e2%80%ae[2J"<script>x', "X-Request-Id: a\xff"))
        assert client.answer().status == 403
        line = hasty.refusal(since)
    assert all(text.isprintable() and text.isascii() for text in line.values() if isinstance(text, str))
    assert len(line["path"]) < 300
