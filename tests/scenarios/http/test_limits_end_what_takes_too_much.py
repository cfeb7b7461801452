"""Each limit, once: what is too large or too slow is ended, with the status for it."""

from __future__ import annotations

import threading

import pytest

from proxy.snapshot.limits import Limits
from tests.support.gateway import OK, Client, Gateway, Visit, chunks, request, swallow

DEFAULT = Limits()


def padded(size: int) -> bytes:
    """Write a request whose head has exactly ``size`` octets."""
    return request("/padded", "X-Pad: " + "a" * (size - len(request("/padded", "X-Pad: "))))


def test_a_head_may_have_32_kib_and_not_an_octet_more(patient: Gateway) -> None:
    """431, and the connection ends: where the next request begins is not known."""
    with patient.admitted() as client:
        client.send(padded(DEFAULT.head))
        assert client.answer().status == 200
        client.send(padded(DEFAULT.head + 1))
        answer = client.answer()
        assert (answer.status, answer.header("connection"), client.ended) == (431, "close", "closed")


def test_a_head_that_does_not_end_is_refused_at_the_limit(patient: Gateway) -> None:
    """Without waiting for its end."""
    with patient.admitted() as client:
        client.send(padded(DEFAULT.head * 2)[: DEFAULT.head + 100])
        assert (client.answer().status, client.ended) == (431, "closed")


def test_a_request_may_have_128_fields_and_not_one_more(patient: Gateway) -> None:
    """Host is one of them."""
    with patient.admitted() as client:
        assert client.ask("/fields", *["X-A: b"] * (DEFAULT.fields - 1)).status == 200
        answer = client.ask("/fields", *["X-A: b"] * DEFAULT.fields)
        assert (answer.status, answer.header("connection"), client.ended) == (431, "close", "closed")


def test_a_body_within_its_routes_limit_passes(patient: Gateway) -> None:
    """To the octet, with a length and in chunks."""
    with patient.admitted() as client:
        assert client.ask("/small/x", method="POST", body=b"a" * 1024).status == 200
        client.send(request("/small/x", "Transfer-Encoding: chunked", method="POST"), chunks(b"a" * 1000, b"a" * 24))
        assert client.answer().status == 200


def test_a_body_that_announces_too_much_is_refused_at_once(patient: Gateway) -> None:
    """Before any of it is sent, and without asking the app."""
    with patient.admitted() as client:
        client.send(request("/small/announced", "Content-Length: 1025", "Expect: 100-continue", method="POST"))
        answer = client.answer()
        assert (answer.status, answer.header("connection"), client.ended) == (413, "close", "closed")
    assert patient.app.visits["/small/announced"].empty()


def test_a_client_that_sends_too_much_reads_why(patient: Gateway) -> None:
    """A chunked body is cut off at the limit, and the client has its answer though it goes on sending for a while."""
    with patient.admitted() as client:
        client.send(request("/small/chunked", "Transfer-Encoding: chunked", method="POST"))
        client.send(chunks(*[b"a" * 16_000] * 50)[:-5])
        answer = client.answer()
        assert (answer.status, answer.header("connection"), client.ended) == (413, "close", "closed")


@pytest.mark.parametrize("start", [b"G", request("/slow")[:-2], request("/slow")[:-2] + b"X-A: b\r\n"])
def test_a_head_that_stops_coming_is_given_up(hasty: Gateway, start: bytes) -> None:
    """408 after the time-out, counted from its first octet."""
    with hasty.admitted() as client:
        assert client.ask("/first").status == 200
        client.send(start)
        answer = client.answer()
        assert (answer.status, answer.header("connection"), client.ended) == (408, "close", "closed")


def test_a_head_in_drops_is_given_up_all_the_same(hasty: Gateway) -> None:
    """More octets do not buy more time."""
    over = threading.Event()

    def drip(client: Client) -> None:
        for octet in request("/drip", "X-A: " + "b" * 1000):
            if over.wait(0.01):
                return
            client.tls.send(bytes([octet]))

    with hasty.admitted() as client:
        sender = threading.Thread(target=drip, args=(client,))
        sender.start()
        try:
            reply = hasty.proxy.wait_for(lambda line: line.get("reason") == "request-timeout", hasty.proxy.mark())
        finally:
            over.set()
            sender.join()
        assert reply["status"] == 408


@pytest.mark.parametrize("sent", [b"", b"half"])
def test_a_body_that_stops_coming_is_given_up(hasty: Gateway, sent: bytes) -> None:
    """408, also where none of it came."""
    hasty.app.on("/half", swallow)
    with hasty.admitted() as client:
        client.send(request("/half", "Content-Length: 8", method="POST"), sent)
        answer = client.answer()
        assert (answer.status, answer.header("connection"), client.ended) == (408, "close", "closed")


def test_an_idle_connection_is_closed_in_good_order(hasty: Gateway) -> None:
    """With close_notify, and without a word."""
    with hasty.admitted() as client:
        assert client.ask("/once").status == 200
        assert client.rest() == b""
        assert client.ended == "closed"


def test_a_client_that_never_asks_is_closed_too(hasty: Gateway) -> None:
    """After its handshake."""
    with hasty.admitted() as client:
        assert client.rest() == b""
        assert client.ended == "closed"


def test_a_client_that_takes_nothing_is_cut_off(hasty: Gateway) -> None:
    """A response that nobody reads does not stay for ever."""

    def flood(visit: Visit) -> None:
        visit.body()
        visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", *[bytes(100_000)] * 1000)

    hasty.app.on("/flood", flood)
    since = hasty.proxy.mark()
    with hasty.admitted() as client:
        client.send(request("/flood"))
        line = hasty.proxy.wait_for(lambda line: line.get("reason") == "client-aborted", since)
        assert "took nothing for 1 s" in line["detail"]
        assert client.ended != "closed"


def test_an_app_that_does_not_read_an_upload_is_the_one_to_blame(hasty: Gateway) -> None:
    """504 and upstream-timeout: the client would send on if it were let."""
    over = threading.Event()

    def stuck(visit: Visit) -> None:
        over.wait(10)
        visit.close()

    hasty.app.on("/stuck", stuck)
    since = hasty.proxy.mark()
    body = bytes(20_000_000)

    def upload(client: Client) -> None:
        try:
            client.send(request("/stuck", method="POST", body=body))
        except OSError:
            return  # the proxy has hung up, which is the point

    with hasty.admitted() as client:
        sender = threading.Thread(target=upload, args=(client,))
        sender.start()
        line = hasty.proxy.wait_for(lambda line: line.get("path") == "/stuck", since)
        over.set()
        sender.join()
        assert (line["reason"], line["status"]) == ("upstream-timeout", 504)


def test_a_slow_upload_is_not_given_up_while_it_goes_on(hasty: Gateway) -> None:
    """The time-out is for silence, not for the whole body."""
    steps = threading.Semaphore(0)

    def handler(visit: Visit) -> None:
        got = 0
        while got < 5:
            got += len(visit.receive())
            steps.release()
        visit.say(OK)

    hasty.app.on("/steady", handler)
    pause = threading.Event()
    with hasty.admitted() as client:
        client.send(request("/steady", "Content-Length: 5", method="POST"))
        for _ in range(5):
            pause.wait(0.4)
            client.send(b"x")
            assert steps.acquire(timeout=10)
        assert client.answer().status == 200


def test_a_slow_download_is_not_given_up_while_it_goes_on(hasty: Gateway) -> None:
    """As long as the client takes something in each second it may take its time."""
    size = 100_000_000

    def flood(visit: Visit) -> None:
        visit.body()
        visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, *[bytes(100_000)] * (size // 100_000))

    hasty.app.on("/steady-flood", flood)
    pause = threading.Event()
    with hasty.admitted() as client:
        client.send(request("/steady-flood"))
        got = len(client.until(b"\r\n\r\n").partition(b"\r\n\r\n")[2])
        for _ in range(7):
            got += client.skip(500_000)
            pause.wait(0.4)
        assert client.skip(size - got) == size - got
        assert client.stays
