"""An app that does not answer, or not well, is answered for; what has begun is cut and never completed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.gateway import (
    OK,
    App,
    Client,
    Gateway,
    Visit,
    chunks,
    free_port,
    gateway,
    request,
    required,
    say,
    swallow,
)
from tests.support.harness import PATIENCE


@pytest.fixture(scope="module")
def apps() -> Iterator[list[App]]:
    """Run two apps besides the gateway's own."""
    with App() as first, App() as second:
        yield [first, second]


@pytest.fixture(scope="module")
def full() -> Iterator[int]:
    """Listen with a queue that is full, so that nobody gets a connection; return the port."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, apps: list[App], full: int) -> Iterator[Gateway]:
    """Run a gateway with an upstream for each kind of trouble."""
    folder = tmp_path_factory.mktemp("failing")
    live = [f"http://127.0.0.1:{app.port}" for app in apps]
    dead = f"http://127.0.0.1:{free_port()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "app.sock"))
        listener.listen(16)
        with App(listener):
            upstreams = {
                "one": {"servers": live[:1], "max_connections": 1},
                "two": {"servers": live},
                "half": {"servers": [dead, live[1]]},
                "dead": {"servers": [dead, f"http://127.0.0.1:{free_port()}"]},
                "full": {"servers": [f"http://127.0.0.1:{full}"]},
                "unix": {"servers": ["http://unix:app.sock"]},
            }
            routes = [required(f"/{name}/", name) for name in upstreams]
            limits = {"upstream_connect_timeout": "1s", "upstream_response_timeout": "2s"}
            with gateway(folder, upstreams, routes, limits=limits) as running:
                yield running


def check(site: Gateway, client: Client, status: int, reason: str) -> dict[str, object]:
    """Read a refusal: its status, its reason in the log, and that the connection stays."""
    answer = client.answer()
    assert answer.status == status
    line = site.line(answer.header("x-request-id"))
    assert (line["event"], line["reason"], line["status"], line["level"]) == (
        "request.refused",
        reason,
        status,
        "warning",
    )
    assert client.ask("/fine").status == 200
    return line


def test_an_app_that_is_down_is_502(site: Gateway) -> None:
    """The log names every server that was tried."""
    with site.admitted() as client:
        client.send(request("/dead/x"))
        assert str(check(site, client, 502, "upstream-unavailable")["detail"]).count("127.0.0.1:") == 2


def test_an_app_that_cannot_be_reached_in_time_is_504(site: Gateway) -> None:
    """Its listener's queue is full."""
    with site.admitted() as client:
        client.send(request("/full/x"))
        assert "no connection within 1 s" in str(check(site, client, 504, "upstream-timeout")["detail"])


def test_an_app_that_does_not_answer_in_time_is_504(site: Gateway) -> None:
    """The time counts from the request's end."""
    path = site.app.on("/silent", swallow)
    with site.admitted() as client:
        client.send(request(path))
        assert "no answer for 2 s" in str(check(site, client, 504, "upstream-timeout")["detail"])


GARBAGE = {
    "noise": b"\x00\x01\x02\r\n\r\n",
    "no HTTP": b"220 mail.example ESMTP\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
    "bad field": b"HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 0\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 10_000,
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE.keys())
def test_an_answer_that_is_not_http_is_502(site: Gateway, said: bytes) -> None:
    """Nothing of it reaches the client."""
    path = site.app.on("/garbage", say(said))
    with site.admitted() as client:
        client.send(request(path, "Connection: keep-alive, upgrade", "Upgrade: websocket"))
        check(site, client, 502, "upstream-protocol")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-"])
def test_an_app_that_closes_without_an_answer_is_502(site: Gateway, said: bytes) -> None:
    """Asked once: the request had a connection of its own, or is one that cannot be repeated."""
    path = site.app.on("/closes", say(said, close=True))
    with site.admitted() as client:
        client.send(request(path, method="POST", body=b"x"))
        check(site, client, 502, "upstream-unavailable")


BAD_CHUNK = b"xyz\r\n"
BEGUN = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "all but the last chunk's end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + BAD_CHUNK,
}


@pytest.mark.parametrize("said", BEGUN.values(), ids=BEGUN.keys())
def test_an_answer_that_breaks_off_is_never_complete(site: Gateway, said: bytes) -> None:
    """The connection is cut without close_notify, and no last chunk is sent."""
    begun = threading.Event()

    def break_off(visit: Visit) -> None:
        visit.say(said.removesuffix(BAD_CHUNK))
        assert begun.wait(PATIENCE)
        visit.say(said[len(said.removesuffix(BAD_CHUNK)) :])
        visit.close()

    path = site.app.on("/begun", break_off)
    since = site.proxy.mark()
    with site.admitted() as client:
        client.send(request(path))
        got = client.until(b"hello")
        begun.set()
        got += client.rest()
        assert b"hello" in got
        assert not got.endswith(b"0\r\n\r\n")
        assert client.tls.error in ("StreamCutError", "ConnectionResetError")
    line = site.refusal(since)
    assert (line["status"], line["reason"]) == (200, "upstream-protocol" if b"xyz" in said else "upstream-unavailable")


def test_an_answer_that_stalls_is_cut(site: Gateway) -> None:
    """After the response time-out, counted from the last piece."""
    over = threading.Event()

    def stall(visit: Visit) -> None:
        visit.say(BEGUN["length"])
        over.wait(PATIENCE)

    path = site.app.on("/stalls", stall)
    since = site.proxy.mark()
    with site.admitted() as client:
        client.send(request(path))
        client.until(b"hello")
        assert client.ended in ("StreamCutError", "ConnectionResetError")
    over.set()
    assert (site.refusal(since)["reason"], site.refusal(since)["status"]) == ("upstream-timeout", 200)


def test_an_app_at_its_limit_is_503(site: Gateway, apps: list[App]) -> None:
    """One connection is all it takes; when that is free again, so is the app."""
    go = threading.Event()

    def wait(visit: Visit) -> None:
        assert go.wait(PATIENCE)
        visit.say(OK)

    apps[0].on("/one/wait", wait)
    with site.admitted() as busy, site.admitted() as client:
        busy.send(request("/one/wait"))
        apps[0].saw("/one/wait")
        client.send(request("/one/x"))
        assert "1 connections are in use" in str(check(site, client, 503, "upstream-busy")["detail"])
        go.set()
        assert busy.answer().status == 200
        assert client.ask("/one/x").status == 200


def test_a_server_that_is_down_is_not_noticed(site: Gateway) -> None:
    """The next one answers."""
    with site.admitted() as client:
        assert [client.ask("/half/x").status for _ in range(6)] == [200] * 6


def test_servers_answer_in_turn(site: Gateway, apps: list[App]) -> None:
    """Once both have a connection, requests go to one and the other."""
    both = threading.Barrier(2)

    def meet(visit: Visit) -> None:
        both.wait(PATIENCE)
        visit.say(OK)

    for app in apps:
        app.on("/two/meet", meet)
    with site.admitted() as first, site.admitted() as second:
        first.send(request("/two/meet"))
        second.send(request("/two/meet"))
        assert (first.answer().status, second.answer().status) == (200, 200)
        for _ in range(10):
            assert first.ask("/two/turn").status == 200
    assert [app.visits["/two/turn"].qsize() for app in apps] == [5, 5]


def test_an_app_on_a_unix_socket_is_reached(site: Gateway) -> None:
    """Its path is relative to the configuration."""
    with site.admitted() as client:
        for _ in range(3):
            assert client.ask("/unix/x", method="POST", body=b"hello").status == 200


def once(times: list[int]) -> Callable[[Visit], None]:
    """Answer a first request, and hang up on any that follows on its connection; count in ``times``."""
    served: set[int] = set()

    def handler(visit: Visit) -> None:
        times.append(1)
        number = visit.connection.fileno()
        if number in served:
            served.discard(number)
            visit.close()
            return
        served.add(number)
        visit.body()
        visit.say(OK)

    return handler


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("GET", b"", 200),
        ("DELETE", b"", 200),
        ("PUT", b"x", 502),
        ("POST", b"x", 502),
        ("POST", b"", 502),
        ("PATCH", b"", 502),
    ],
)
def test_a_request_on_a_connection_that_the_app_closes_is_repeated_where_that_is_safe(
    site: Gateway, apps: list[App], method: str, body: bytes, status: int
) -> None:
    """Once, if it is idempotent and nothing of a body was sent; else the client has to know."""
    times: list[int] = []
    apps[0].on("/one/stale", once(times))
    with site.admitted() as client:
        client.ask("/one/x", "Connection: close")
    with site.admitted() as client:
        assert client.ask("/one/stale").status == 200
        assert client.ask("/one/stale", method=method, body=body).status == status
    assert len(times) == (3 if status == 200 else 2)


def test_an_app_that_says_more_than_it_was_asked_is_not_believed(site: Gateway, apps: list[App]) -> None:
    """What comes after an answer is never the answer to the next request."""
    apps[0].on("/one/more", say(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"))
    apps[0].on("/one/late", say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"ok") + b"poisoned"))
    with site.admitted() as client:
        for path in ("/one/more", "/one/late"):
            assert client.ask(path).status == 200
            answer = client.ask("/one/next")
            assert (answer.status, answer.body) == (200, b"ok\n")
