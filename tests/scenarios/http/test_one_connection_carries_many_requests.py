"""A client's connection carries one request after the other, and so does the app's."""

from __future__ import annotations

import socket

from tests.support.gateway import Gateway, Visit, chunks, request, say


def test_requests_follow_each_other_on_one_connection(patient: Gateway) -> None:
    """Two hundred of them, and the app sees one connection."""
    path = patient.app.on("/follow", say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
    with patient.admitted() as client:
        client.ask(path)
        before = patient.app.connections
        for number in range(200):
            answer = client.ask(f"{path}?{number}")
            assert (answer.status, answer.body, answer.header("connection")) == (200, b"x", None)
        assert patient.app.connections == before
    assert [patient.app.saw(path).raw.split(b" ")[1] for _ in range(201)][-1] == b"/follow?199"


def test_pipelined_requests_are_answered_in_order(patient: Gateway) -> None:
    """Heads and bodies in one flight; a slow first one holds the others back."""

    def echo(visit: Visit) -> None:
        body = visit.body() + visit.seen.raw.split(b" ")[1]
        visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    patient.app.on("/echo", echo)
    flight = b""
    for number in range(50):
        flight += request(f"/echo?{number}", method="POST", body=b"length ")
        flight += request(f"/echo?{number}", "Transfer-Encoding: chunked", method="PUT") + chunks(b"chun", b"ked ")
        flight += request(f"/echo?{number}")
    with patient.admitted() as client:
        client.send(flight)
        bodies = [client.answer().body for _ in range(150)]
    expected = [(b"length ", b"chunked ", b"")[place % 3] + b"/echo?%d" % (place // 3) for place in range(150)]
    assert bodies == expected


def test_a_thousand_refused_requests_in_one_flight_are_answered_in_order(patient: Gateway) -> None:
    """Each answer comes at once and leads to the next request, without one call inside the other."""
    with patient.admitted() as client:
        client.send(b"".join(request(f"/partners/{number}", f"X-Request-Id: r{number}") for number in range(1000)))
        ids = []
        for _ in range(1000):
            answer = client.answer()
            assert answer.status == 403
            ids.append(answer.header("x-request-id"))
        assert len(set(ids)) == 1000
        assert [int(str(name).rsplit("-", 1)[1]) for name in ids] == list(range(1, 1001))
        assert client.stays


def refused(gateway: Gateway) -> int:
    """Return how many requests have been refused for an issuer, once that number stands still."""
    last, now = -1, -2
    while last != now:
        last, now = (
            now,
            sum(
                int(line.rsplit(" ", 1)[1].partition(".")[0])
                for line in gateway.proxy.metrics().splitlines()
                if line.startswith("originward_requests_refused_total{") and "untrusted-issuer" in line
            ),
        )
    return now


def test_a_client_that_reads_no_answers_gets_no_more_of_them(patient: Gateway) -> None:
    """Refusals are cheap to ask for: whoever does not read them is not read either, and they are not kept in memory."""
    flight, before = 50_000, refused(patient)
    with patient.admitted() as client:
        client.tls.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(b"".join(request("/partners/x") for _ in range(flight)))
        assert 0 < refused(patient) - before < flight


def test_a_request_with_close_is_the_last_one(patient: Gateway) -> None:
    """What was pipelined behind it is not answered."""
    with patient.admitted() as client:
        client.send(request("/last", "Connection: close") + request("/never"))
        answer = client.answer()
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert client.ended == "closed"
    assert patient.app.visits["/never"].empty()


def test_http_1_0_closes_unless_it_is_told_to_stay(patient: Gateway) -> None:
    """With keep-alive it stays, and is told so."""
    with patient.admitted() as client:
        for _ in range(3):
            client.send(request("/old", "Connection: keep-alive", version="1.0"))
            answer = client.answer()
            assert (answer.status, answer.header("connection")) == (200, "keep-alive")
        client.send(request("/old", version="1.0"))
        assert client.answer().header("connection") == "close"
        assert client.ended == "closed"


def test_http_1_0_gets_no_chunks(patient: Gateway) -> None:
    """A body without a length ends with the connection, also one that asked to stay."""
    path = patient.app.on(
        "/chunks", say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"hel", b"lo"))
    )
    with patient.admitted() as client:
        client.send(request(path, "Connection: keep-alive", version="1.0"))
        answer = client.answer()
        assert (answer.header("transfer-encoding"), answer.header("connection")) == (None, "close")
        assert (answer.body, client.ended) == (b"hello", "closed")


def test_an_empty_line_between_requests_is_skipped(patient: Gateway) -> None:
    """Some clients end a body with one too many."""
    with patient.admitted() as client:
        client.send(request("/one", method="POST", body=b"x") + b"\r\n" + request("/two"))
        assert [client.answer().status, client.answer().status] == [200, 200]
