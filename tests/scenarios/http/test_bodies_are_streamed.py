"""Bodies go through piece by piece, both ways, as the app and the client say them."""

from __future__ import annotations

import queue
import threading

import pytest

from tests.support.gateway import OK, Gateway, Visit, chunks, request, say
from tests.support.harness import PATIENCE

MEBIBYTE = bytes(range(256)) * 4096


@pytest.mark.parametrize("chunked", [True, False])
def test_the_app_has_the_first_octets_before_the_client_sends_the_last(patient: Gateway, chunked: bool) -> None:
    """Nothing waits for the end of an upload."""
    arrived: queue.Queue[bytes] = queue.Queue()

    def handler(visit: Visit) -> None:
        first = b""
        while b"first" not in first:
            first += visit.receive()
        arrived.put(first)
        visit.held = first
        visit.body()
        visit.say(OK)

    path = patient.app.on("/upload", handler)
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 9"
    pieces = (b"5\r\nfirst\r\n", b"4\r\nlast\r\n0\r\n\r\n") if chunked else (b"first", b"last")
    with patient.admitted() as client:
        client.send(request(path, framing, method="POST"), pieces[0])
        assert b"first" in arrived.get(timeout=PATIENCE)
        client.send(pieces[1])
        assert client.answer().status == 200
    assert patient.app.saw(path).body == b"firstlast"


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked", b"Content-Length: 9", b"X-Ends: by closing"])
def test_the_client_has_the_first_octets_before_the_app_says_the_last(patient: Gateway, framing: bytes) -> None:
    """Nothing waits for the end of a download."""
    seen = threading.Event()
    chunked = b"chunked" in framing

    def handler(visit: Visit) -> None:
        visit.say(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + (b"5\r\nfirst\r\n" if chunked else b"first"))
        assert seen.wait(PATIENCE)
        visit.say(b"4\r\nlast\r\n0\r\n\r\n" if chunked else b"last")
        if b"closing" in framing:
            visit.close()

    path = patient.app.on("/download", handler)
    with patient.admitted() as client:
        client.send(request(path))
        start = client.until(b"first")
        seen.set()
        end = client.until(b"last")
    assert b"first" in start
    assert b"last" in end


@pytest.mark.parametrize("chunked", [True, False])
def test_large_bodies_arrive_whole(patient: Gateway, chunked: bool) -> None:
    """Five mebibytes up, and the same down again."""

    def echo(visit: Visit) -> None:
        body = visit.body()
        if chunked:
            visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(body[:70_000], body[70_000:]))
        else:
            visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)

    path = patient.app.on("/mirror", echo)
    body = MEBIBYTE * 5
    with patient.admitted() as client:
        if chunked:
            client.send(request(path, "Transfer-Encoding: chunked", method="PUT"))
            sender = threading.Thread(
                target=client.send, args=(chunks(body[:100], body[100:3_000_000], body[3_000_000:]),)
            )
        else:
            sender = threading.Thread(target=client.send, args=(request(path, method="PUT", body=body),))
        sender.start()
        sender.join()
        answer = client.answer()
    assert answer.body == body
    assert patient.app.saw(path).body == body


def test_trailers_are_dropped_both_ways(patient: Gateway) -> None:
    """No field in them is trusted, and none is worth having."""
    answered = b"HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw: queue.Queue[bytes] = queue.Queue()

    def handler(visit: Visit) -> None:
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            data += visit.receive()
        raw.put(data)
        visit.say(answered + chunks(b"ok", trailers=b"X-T: 1\r\n"))

    path = patient.app.on("/trailers", handler)
    with patient.admitted() as client:
        client.send(
            request(path, "Transfer-Encoding: chunked", "Trailer: X-SSL-Client-Verify", "TE: trailers", method="POST")
        )
        client.send(chunks(b"hello", trailers=b"X-SSL-Client-Verify: SUCCESS\r\nClient-Cert: :MII=:\r\n"))
        head = client.until(b"0\r\n\r\n")
    assert raw.get(timeout=PATIENCE) == chunks(b"hello")
    seen = patient.app.saw(path)
    assert (seen.header("trailer"), seen.header("te")) == (None, None)
    assert head.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"ok"))
    assert b"X-T" not in head


def test_expect_100_continue_is_relayed(patient: Gateway) -> None:
    """The app decides, and the body follows its word."""

    def handler(visit: Visit) -> None:
        visit.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        visit.body()
        visit.say(OK)

    path = patient.app.on("/expect", handler)
    with patient.admitted() as client:
        client.send(request(path, "Expect: 100-continue", "Content-Length: 5", method="POST"))
        assert client.answer().status == 100
        client.send(b"hello")
        assert client.answer().status == 200
        assert client.stays
    seen = patient.app.saw(path)
    assert (seen.header("expect"), seen.body) == ("100-continue", b"hello")


def test_an_app_that_refuses_an_expectation_ends_the_connection(patient: Gateway) -> None:
    """Where a request without its body would end is anybody's guess."""
    path = patient.app.on(
        "/refuse", lambda visit: visit.say(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
    )
    with patient.admitted() as client:
        client.send(request(path, "Expect: 100-continue", "Content-Length: 5", method="POST"))
        answer = client.answer()
        assert (answer.status, answer.header("connection")) == (417, "close")
        assert client.ended == "closed"


def test_interim_responses_are_relayed(patient: Gateway) -> None:
    """As many as the app says, with their fields."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    path = patient.app.on("/hints", say(hints, hints, OK))
    with patient.admitted() as client:
        answers = [client.ask(path), client.answer(), client.answer()]
        assert client.stays
    assert [(answer.status, answer.header("link")) for answer in answers] == [
        (103, "</a.css>"),
        (103, "</a.css>"),
        (200, None),
    ]


def test_an_early_answer_ends_an_upload(patient: Gateway) -> None:
    """The client reads it while it still sends; the rest of the body is not wanted."""
    started = threading.Event()

    def handler(visit: Visit) -> None:
        visit.receive()
        visit.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nbig\n")
        started.set()

    path = patient.app.on("/early", handler)
    with patient.admitted() as client:
        client.send(request(path, "Content-Length: 10000000", method="POST"), MEBIBYTE[:1000])
        assert started.wait(PATIENCE)
        answer = client.answer()
        assert (answer.status, answer.body, answer.header("connection")) == (413, b"big\n", "close")
        client.send(MEBIBYTE)
        assert client.ended == "closed"


@pytest.mark.parametrize("how", ["close_notify", "FIN"])
def test_a_client_that_has_said_all_still_gets_its_answer(patient: Gateway, how: str) -> None:
    """Half-closed by TLS or by TCP; the answer is the last one."""
    gone = threading.Event()

    def handler(visit: Visit) -> None:
        visit.body()
        assert gone.wait(PATIENCE)
        visit.say(OK)

    path = patient.app.on("/half", handler)
    with patient.admitted() as client:
        client.send(request(path, method="POST", body=b"hello"))
        patient.app.saw(path)
        if how == "close_notify":
            client.tls.tls.shutdown()
            client.tls._flush()
        client.tls.socket.shutdown(1)
        gone.set()
        assert client.answer().status == 200
        assert client.ended == "closed"


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 12345\r\n\r\n"),
    ],
)
def test_answers_without_a_body_leave_the_connection_usable(patient: Gateway, method: str, said: bytes) -> None:
    """Whatever length they speak of."""
    path = patient.app.on("/bodiless", say(said))
    with patient.admitted() as client:
        for _ in range(3):
            answer = client.ask(path, method=method)
            assert answer.status == int(said.split(b" ")[1])
            assert answer.header("content-length") == ("12345" if b"12345" in said else None)
        assert client.stays


def test_an_answer_that_ends_with_the_apps_connection_is_chunked(patient: Gateway) -> None:
    """So the client knows that it has all of it, and stays."""
    path = patient.app.on("/until", say(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True))
    with patient.admitted() as client:
        for _ in range(2):
            answer = client.ask(path)
            assert (answer.header("transfer-encoding"), answer.body) == ("chunked", b"hello")


def test_hop_by_hop_fields_are_dropped_both_ways(patient: Gateway) -> None:
    """What is meant for this hop stays here."""
    hops = (
        "Connection: X-Hop, keep-alive",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "TE: gzip",
        "Upgrade: h2c",
        "X-End: 2",
    )
    said = "\r\n".join(["HTTP/1.1 200 OK", *hops, "Proxy-Connection: x", "Content-Length: 0", "", ""])
    path = patient.app.on("/hops", say(said.encode()))
    with patient.admitted() as client:
        answer = client.ask(path, *hops, "Proxy-Authorization: Basic x", "HTTP2-Settings: AAA")
    assert answer.fields == [("x-end", "2"), ("content-length", "0")]
    names = [name for name, _ in patient.app.saw(path).fields]
    assert names == ["host", "x-end", "client-cert", "client-cert-chain", *("x-forwarded-for", "x-forwarded-proto"),
                     "x-forwarded-host", "x-request-id", "via"]  # fmt: skip
