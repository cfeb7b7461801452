"""The admin page over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from proxy.observe import admin as module
from proxy.observe.admin import MAX_CONNECTIONS, Admin
from proxy.observe.metrics import Metrics
from proxy.snapshot.address import Address

Script = Callable[[Admin], Awaitable[None]]
LOOPBACK = Address("127.0.0.1", 0)


def serve(script: Script, *, ready: str | None = None, address: Address = LOOPBACK) -> None:
    """Run ``script`` against an admin page, on the loop that serves in production."""

    async def main() -> None:
        admin = Admin(Metrics(), lambda: ready)
        await admin.start(address)
        try:
            await script(admin)
        finally:
            await admin.close()

    uvloop.run(main())


async def exchange(admin: Admin, octets: bytes) -> tuple[int, dict[str, str], str]:
    """Send octets and return status, lower-case fields and body of the answer, which the server ends by closing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
    writer.write(octets)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *rest = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in rest)
    return int(first.split()[1]), fields, body.decode()


async def get(admin: Admin, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, dict[str, str], str]:
    """Send one plain request."""
    return await exchange(admin, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server ended the connection without an answer: an abort arrives as a reset or as an end."""
    (outcome,) = await asyncio.gather(reader.read(), return_exceptions=True)
    return outcome == b"" or isinstance(outcome, ConnectionResetError)


ROWS = [
    ("GET", "/healthz", None, 200, "ok\n"),
    ("HEAD", "/healthz", None, 200, ""),
    ("GET", "/readyz", None, 200, "ready\n"),
    ("GET", "/readyz", "draining", 503, "draining\n"),
    ("GET", "/healthz", "draining", 200, "ok\n"),
    ("GET", "/", None, 404, "not found\n"),
    ("GET", "/metrics/", None, 404, "not found\n"),
    ("GET", "/healthz?x=1", None, 200, "ok\n"),
    ("POST", "/metrics", None, 405, "method not allowed\n"),
    ("DELETE", "/healthz", None, 405, "method not allowed\n"),
]


@pytest.mark.parametrize(("method", "path", "ready", "status", "body"), ROWS)
def test_each_page_answers(method: str, path: str, ready: str | None, status: int, body: str) -> None:
    """Health, readiness with its reason, and nothing else."""

    async def script(admin: Admin) -> None:
        answer = await get(admin, path, method)
        assert (answer[0], answer[2]) == (status, body)

    serve(script, ready=ready)


def test_metrics_are_prometheus_text() -> None:
    """The page parses, and its type is the one that scrapers expect."""

    async def script(admin: Admin) -> None:
        status, fields, body = await get(admin, "/metrics")
        assert status == 200
        assert fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        names = {family.name for family in text_string_to_metric_families(body)}
        assert {"originward_connections", "originward_build_info", "process_open_fds"} <= names

    serve(script)


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: rebound.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nBad Field: x\r\n\r\n",
    ],
)
def test_no_answer_names_the_software_behind(octets: bytes) -> None:
    """Not even a refusal of garbage shows a version, and every connection ends with its answer."""

    async def script(admin: Admin) -> None:
        _, fields, body = await exchange(admin, octets)
        assert fields["server"] == "originward"
        assert "aiohttp" not in body.lower()

    serve(script)


OVERSIZED = [
    b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("octets", OVERSIZED, ids=["line", "field"])
def test_oversized_heads_are_refused(octets: bytes) -> None:
    """What no scraper sends is answered 400 with its category only."""

    async def script(admin: Admin) -> None:
        status, _, body = await exchange(admin, octets)
        assert (status, body) == (400, "bad request\n")

    serve(script)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:9901", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:9901", 200),
        ("rebound.example", 421),
        ("127.0.0.1.rebound.example", 421),
        ("localhost@rebound.example", 421),
        ("", 421),
    ],
)
def test_on_loopback_only_this_machine_s_names_are_answered(host: str, status: int) -> None:
    """A web page that points its own name at 127.0.0.1 reads nothing (DNS rebinding)."""

    async def script(admin: Admin) -> None:
        assert (await get(admin, "/metrics", host=host))[0] == status

    serve(script)


def test_beyond_loopback_any_name_is_answered() -> None:
    """An address that others reach has names that the proxy does not know."""

    async def script(admin: Admin) -> None:
        assert (await get(admin, "/healthz", host="metrics.internal"))[0] == 200

    serve(script, address=Address("0.0.0.0", 0))


def test_a_client_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline counts from accept, so a slow head does not hold a connection."""
    monkeypatch.setattr(module, "CONNECTION_SECONDS", 0.05)

    async def script(admin: Admin) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        assert await ended(reader)
        writer.close()

    serve(script)


def test_connections_beyond_the_limit_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections cannot pile up; those below the limit go on."""
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 3)

    async def script(admin: Admin) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", admin.port) for _ in range(2)]
        assert (await get(admin, "/healthz"))[0] == 200
        last = [await asyncio.open_connection("127.0.0.1", admin.port) for _ in range(MAX_CONNECTIONS)]
        assert all([await ended(reader) for reader, _ in last[1:]])
        for _, writer in (*idle, *last):
            writer.close()

    serve(script)


def test_a_fault_in_a_page_reaches_the_loop_s_handler_and_not_the_client() -> None:
    """Our own fault is answered 500 without its text; the loop's handler gets the exception."""
    faults: list[object] = []

    def broken() -> str | None:
        raise RuntimeError("secret")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context["exception"]))
        admin = Admin(Metrics(), broken)
        await admin.start(LOOPBACK)
        status, _, body = await get(admin, "/readyz")
        await admin.close()
        assert (status, body) == (500, "internal server error\n")

    uvloop.run(main())
    assert [str(fault) for fault in faults] == ["secret"]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_port_that_is_taken_is_named(run: Callable[[Awaitable[None]], None]) -> None:
    """The error says which address and why, in words that do not depend on the loop."""

    async def main(port: int) -> None:
        await Admin(Metrics(), lambda: None).start(Address("127.0.0.1", port))

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"admin address 127.0.0.1:{port}: Address already in use"):
            run(main(port))


def test_a_unix_socket_is_refused() -> None:
    """An empty host would mean every address; it is an error instead."""
    with pytest.raises(OSError, match="a host and a port are needed"):
        asyncio.run(Admin(Metrics(), lambda: None).start(Address("", 0, "/run/admin.sock")))


def test_after_closing_nobody_listens() -> None:
    """The port is free again, and a connection that was open is closed."""

    async def main() -> None:
        admin = Admin(Metrics(), lambda: None)
        await admin.start(LOOPBACK)
        port = admin.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await get(admin, "/healthz")
        await admin.close()
        assert await reader.read() == b""
        writer.close()
        assert admin.port == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    uvloop.run(main())


async def obey() -> tuple[HTTPStatus, dict[str, object]]:
    """Be a command."""
    return HTTPStatus.CONFLICT, {"result": "refused"}


async def command(admin: Admin, *fields: str, method: str = "POST", host: str = "localhost") -> tuple[int, str]:
    """Give the command, and return status and body of the answer."""
    admin.commands["/reload"] = obey
    lines = [f"{method} /reload HTTP/1.1", f"Host: {host}", *fields, "", ""]
    status, _, body = await exchange(admin, "\r\n".join(lines).encode())
    return status, body


NAMED = "Originward-Command: reload"


@pytest.mark.parametrize(
    ("fields", "method", "host", "status"),
    [
        ((NAMED,), "POST", "localhost", 409),
        ((NAMED, "Content-Length: 0"), "POST", "127.0.0.1:9901", 409),
        ((), "POST", "localhost", 403),
        (("Originward-Command: stop",), "POST", "localhost", 403),
        ((NAMED, "Origin: http://localhost"), "POST", "localhost", 403),
        ((NAMED, "Sec-Fetch-Site: same-origin"), "POST", "localhost", 403),
        ((NAMED,), "POST", "evil.example", 421),
        ((NAMED,), "GET", "localhost", 405),
        ((NAMED,), "HEAD", "localhost", 405),
        ((NAMED, "Access-Control-Request-Method: POST"), "OPTIONS", "localhost", 405),
    ],
)
def test_a_command_is_for_people_on_this_machine(fields: tuple[str, ...], method: str, host: str, status: int) -> None:
    """Not for pages in their browsers, whatever name leads them here."""

    async def script(admin: Admin) -> None:
        assert (await command(admin, *fields, method=method, host=host))[0] == status

    serve(script)


def test_a_command_answers_how_it_went() -> None:
    """In JSON, for programs."""

    async def script(admin: Admin) -> None:
        assert (await command(admin, NAMED))[1] == '{"result": "refused"}'

    serve(script)


def test_beyond_loopback_nobody_is_obeyed() -> None:
    """The admin page asks nobody who they are."""

    async def script(admin: Admin) -> None:
        status, body = await command(admin, NAMED)
        assert (status, body) == (403, "commands are taken on a loopback address only\n")

    serve(script, address=Address("0.0.0.0", 0))


def test_a_command_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is for those who ask, not for what they ask for."""
    monkeypatch.setattr(module, "CONNECTION_SECONDS", 0.05)

    async def slow() -> tuple[HTTPStatus, dict[str, object]]:
        await asyncio.sleep(0.2)
        return HTTPStatus.OK, {"result": "done"}

    async def script(admin: Admin) -> None:
        admin.commands["/reload"] = slow
        head = f"POST /reload HTTP/1.1\r\nHost: localhost\r\n{NAMED}\r\n\r\n"
        assert (await exchange(admin, head.encode()))[2] == '{"result": "done"}'

    serve(script)
