"""A change in the middle of a request: it finishes or is ended, as its route says; who stays admitted sees nothing."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from OpenSSL import SSL

from proxy.operate.demo.pki import Leaf
from tests.support.harness import PATIENCE, RawOrigin, TlsClient, requests_on
from tests.support.site import ZONE, public, required
from tests.support.stage import Stage, stage

PIECES = 64
PIECE = bytes(range(256)) * 256
"""Sent as often as ``PIECES`` says: 4 MiB, more than all buffers on the way hold."""


class Slow(RawOrigin):
    """An app: ``/slow`` is answered when it may be, ``/long`` in pieces, ``/count`` with a digest of the body."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        super().__init__(self._serve_slowly)

    def _serve_slowly(self, connection: socket.socket, _origin: RawOrigin) -> None:
        for seen in requests_on(connection):
            self.seen.put(seen)
            path = seen.raw.split(b" ")[1]
            if path == b"/long":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (PIECES * len(PIECE)))
                for _ in range(PIECES):
                    assert self.go.acquire(timeout=PATIENCE)
                    connection.sendall(PIECE)
                continue
            if path == b"/slow":
                assert self.go.acquire(timeout=PATIENCE)
            answer = hashlib.sha256(seen.body).hexdigest().encode() if path == b"/count" else b"ok\n"
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))


@pytest.fixture
def app() -> Iterator[Slow]:
    """Run the app."""
    with Slow() as made:
        yield made
        for _ in range(2 * PIECES):
            made.go.release()


def ask(client: TlsClient, app: Slow, path: str) -> None:
    """Send a request, and wait until the app has it."""
    client.send(f"GET {path} HTTP/1.1\r\nHost: {ZONE}\r\n\r\n".encode())
    app.next()


def listed_out(made: Stage) -> None:
    """Ask for a name that nobody has."""
    made.publish(hosts=made.routes({**made.document["hosts"][0]["routes"][0], "policy": {"san_dns": ["no.example"]}}))


def test_a_download_notices_no_change(app: Slow, tmp_path: Path) -> None:
    """Byte for byte, over twenty generations in its middle, and the connection goes on after it."""
    with stage(tmp_path, app.port) as made, made.house.client(made.cdn.issue(Leaf(subject="edge"))) as client:
        ask(client, app, "/long")
        body = client.read_until(b"\r\n\r\n").partition(b"\r\n\r\n")[2]
        for piece in range(PIECES):
            app.go.release()
            while len(body) < (piece + 1) * len(PIECE):
                body += client.read()
            if piece % 3 == 0:
                made.publish(limits={"idle_timeout": f"{100 + piece}s"})
        assert body == PIECE * PIECES
        assert client.get("/after", ZONE).body == b"ok\n"
        assert len(made.house.house.connections) == 1
    assert made.house.generation > 20
    assert not made.house.lines("connection.withdrawn")


def test_an_upload_notices_no_change(app: Slow, tmp_path: Path) -> None:
    """Byte for byte."""
    with stage(tmp_path, app.port) as made, made.house.client(made.cdn.issue(Leaf(subject="edge"))) as client:
        size = PIECES * len(PIECE)
        client.send(f"POST /count HTTP/1.1\r\nHost: {ZONE}\r\nContent-Length: {size}\r\n\r\n".encode())
        for piece in range(PIECES):
            for start in range(0, len(PIECE), 16384):
                client.send(PIECE[start : start + 16384])
            if piece % 8 == 0:
                made.publish(upstreams={"app": {**made.document["upstreams"]["app"], "max_idle": 10 + piece}})
        assert client.response().body.decode() == hashlib.sha256(PIECE * PIECES).hexdigest()


def test_a_request_finishes_and_then_its_connection_ends(app: Slow, tmp_path: Path) -> None:
    """By default, where it is not for a revocation: the client is told with the answer that it is the last."""
    with stage(tmp_path, app.port) as made, made.house.client(made.cdn.issue(Leaf(subject="edge"))) as client:
        ask(client, app, "/slow")
        listed_out(made)
        assert made.house.line("connection.withdrawn")["action"] == "finishing"
        app.go.release()
        response = client.response()
        assert (response.status, response.header("connection")) == (200, "close")
        assert client.read() == b""
        assert client.closed


def test_the_time_to_finish_is_bounded(app: Slow, tmp_path: Path) -> None:
    """What has not begun by then is answered, and its connection ends."""
    limits = {"withdrawal_timeout": "1s"}
    with stage(tmp_path, app.port, limits=limits) as made:
        with made.house.client(made.cdn.issue(Leaf(subject="edge"))) as client:
            ask(client, app, "/slow")
            listed_out(made)
            assert client.response().status == 403
            assert client.read() == b""
        assert made.house.line("request.refused")["reason"] == "name-not-allowed"


def test_a_stream_is_cut_when_the_time_to_finish_is_over(app: Slow, tmp_path: Path) -> None:
    """Without a close_notify: the client must not take what it has for the whole."""
    with (
        stage(tmp_path, app.port, limits={"withdrawal_timeout": "1s"}) as made,
        made.house.client(made.cdn.issue(Leaf(subject="edge"))) as client,
    ):
        ask(client, app, "/long")
        client.read_until(b"\r\n\r\n")
        listed_out(made)
        client.read_all()
        assert not client.closed


@pytest.mark.parametrize(("path", "status"), [("/slow", 403), ("/long", 0)])
def test_a_revoked_client_is_ended_in_mid_request(path: str, status: int, app: Slow, tmp_path: Path) -> None:
    """By default: answered where no answer has begun, else cut."""
    with stage(tmp_path, app.port) as made:
        edge = made.cdn.issue(Leaf(subject="edge"))
        with made.house.client(edge) as client:
            ask(client, app, path)
            if path == "/long":
                client.read_until(b"\r\n\r\n")
            made.revoke(edge)
            made.publish()
            assert client.response().status == status
            assert client.read() == b""
            assert client.closed is (status == 403)
        line = made.house.line("connection.withdrawn")
        assert (line["reason"], line["action"]) == ("revoked", "aborted")


@pytest.mark.parametrize(("wish", "action"), [("finish", "finishing"), ("abort", "aborted")])
def test_a_route_says_what_becomes_of_its_requests(wish: str, action: str, app: Slow, tmp_path: Path) -> None:
    """Whatever the reason is."""
    with stage(tmp_path, app.port, {**required(), "on_withdrawal": wish}) as made:
        edge = made.cdn.issue(Leaf(subject="edge"))
        with made.house.client(edge) as client, made.house.client(made.cdn.issue(Leaf(subject="two"))) as second:
            ask(client, app, "/slow")
            ask(second, app, "/slow")
            made.revoke(edge)
            made.publish()
            assert made.house.line("connection.withdrawn")["action"] == action
            listed_out(made)
            made.house.wait(lambda: len(made.house.lines("connection.withdrawn")) == 2)
        assert [line["action"] for line in made.house.lines("connection.withdrawn")] == [action, action]


def test_a_request_is_judged_by_its_own_route(app: Slow, tmp_path: Path) -> None:
    """The host still admits its client elsewhere: the request is ended, the connection stays."""
    strict = {**required(path="/slow"), "on_withdrawal": "abort"}
    with stage(tmp_path, app.port, strict, public()) as made:
        with made.house.client(made.cdn.issue(Leaf(subject="edge"))) as client:
            ask(client, app, "/slow")
            narrow = {**strict, "policy": {"san_dns": ["no.example"]}}
            made.publish(hosts=made.routes(narrow, required("cdn", "/else/"), public()))
            assert client.response().status == 403
            assert client.get("/", ZONE).status == 200
        assert made.house.line("connection.withdrawn")["reason"] == "name-not-allowed"


def test_a_request_on_a_route_that_is_gone_finishes(app: Slow, tmp_path: Path) -> None:
    """The next one there gets 404."""
    before = (required(path="/slow"), public("/else/"))
    with stage(tmp_path, app.port, *before) as made, made.house.client(made.cdn.issue(Leaf(subject="edge"))) as client:
        ask(client, app, "/slow")
        made.publish(hosts=made.routes(required("cdn", "/new/"), public("/else/")))
        app.go.release()
        assert client.response().status == 200
        assert client.get("/slow", ZONE).status == 404
        assert client.get("/else/", ZONE).status == 200


def test_a_request_before_its_connection_is_judged_again_is_judged_by_what_is_in_force(
    app: Slow, tmp_path: Path
) -> None:
    """A change and a request in one turn of the loop: nobody is served by what was."""
    with stage(tmp_path, app.port) as made, made.house.client(made.cdn.issue(Leaf(subject="edge"))) as client:
        assert client.get("/", ZONE).status == 200
        made.house.call(lambda: setattr(made.house.house.sweep, "begin", lambda _connections: None))
        listed_out(made)
        assert client.get("/", ZONE).status == 403
        assert client.read() == b""
    line = made.house.line("connection.withdrawn")
    assert (line["reason"], line["action"]) == ("name-not-allowed", "refused")


def test_a_handshake_that_a_change_overtakes_is_judged_by_the_change(app: Slow, tmp_path: Path) -> None:
    """Its verdict came before the change, its end after it: there is no alert any more, but an answer."""
    with stage(tmp_path, app.port) as made:
        with TlsClient(made.house.port, ZONE, made.cdn.issue(Leaf(subject="edge"))) as client:
            with pytest.raises(SSL.WantReadError):
                client.tls.do_handshake()
            client.socket.sendall(client.tls.bio_read(65536))
            made.house.wait(lambda: made.house.call(lambda: made.house.house.metrics.handshakes_in_progress) == 1)
            listed_out(made)
            client.handshake()
            assert client.response().status == 403
            assert client.read() == b""
            assert client.closed
        line = made.house.line("handshake.refused")
        assert (line["reason"], line["generation"]) == ("name-not-allowed", 2)
        assert line["certificate"]["subject"] == "CN=edge"


def test_a_pool_goes_on_where_its_upstream_is_the_same(app: Slow, tmp_path: Path) -> None:
    """The kept connection is used on; another setting of the upstream takes a new one, and the old one is closed."""
    with stage(tmp_path, app.port) as made, made.house.client(made.cdn.issue(Leaf(subject="edge"))) as client:
        client.get("/", ZONE)
        made.publish(limits={"idle_timeout": "77s"})
        client.get("/", ZONE)
        assert app.connections == 1
        made.publish(upstreams={"app": {**made.document["upstreams"]["app"], "max_idle": 7}})
        client.get("/", ZONE)
        assert app.connections == 2
        made.house.wait(lambda: 'originward_upstream_connections_open{upstream="app"} 1.0' in made.house.metrics())
        made.house.wait(lambda: not made.house.house._retired)
