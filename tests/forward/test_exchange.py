"""Exchanges: a request is sent once, repeated only where that is safe, and ends once."""

from __future__ import annotations

import pytest

from proxy.decide.verdict import Reason
from proxy.forward.exchange import IDEMPOTENT
from tests.support.relay import Client, FakePool

pytestmark = pytest.mark.doubles

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_kept_link_is_used() -> None:
    """Nothing is opened where one waits."""
    pool, client = FakePool(), Client()
    link, transport = pool.link()
    pool.idle.append(link)
    pool.exchange(client, b"REQUEST").start()
    assert transport.written == b"REQUEST"
    assert pool.asked == []


def test_a_request_waits_for_its_link_with_what_came_of_its_body() -> None:
    """The client is paused meanwhile; head and first piece are one write."""
    pool, client = FakePool(), Client()
    exchange = pool.exchange(client, b"HEAD", b"POST", has_body=True)
    exchange.start()
    exchange.body(b"+piece")
    assert (pool.asked, client.calls) == ([exchange], ["pause"])
    link, transport = pool.link()
    exchange.connected(link)
    exchange.body(b"+rest")
    assert transport.written == b"HEAD+piece+rest"
    assert client.calls == ["pause", "resume"]


def test_an_app_that_is_slow_from_the_start_keeps_the_client_paused() -> None:
    """The pause that the first write asks for comes after the end of the one for connecting."""
    pool, client = FakePool(), Client()
    exchange = pool.exchange(client, b"HEAD", b"POST", has_body=True)
    exchange.start()
    link, transport = pool.link()
    transport.full = link
    exchange.connected(link)
    assert client.calls[-1] == "pause"


METHODS = [*sorted(IDEMPOTENT), b"POST", b"PATCH"]


@pytest.mark.parametrize("method", METHODS)
def test_a_request_on_a_stale_link_is_repeated_once_where_it_is_idempotent(method: bytes) -> None:
    """RFC 9112, section 9.3.1: the app had closed before it saw it."""
    pool, client = FakePool(), Client()
    link, transport = pool.link()
    pool.idle.append(link)
    exchange = pool.exchange(client, b"REQUEST", method)
    exchange.start()
    link.connection_lost(None)
    if method not in IDEMPOTENT:
        assert (pool.retries, pool.asked, client.calls) == (0, [], ["failed"])
        return
    assert (pool.retries, pool.asked, client.calls) == (1, [exchange], [])
    again, transport = pool.link()
    exchange.connected(again)
    assert transport.written == b"REQUEST"
    again.connection_lost(None)
    assert (pool.retries, client.calls[-1]) == (1, "failed")


def test_a_request_on_a_new_link_is_not_repeated() -> None:
    """An app that closes on it would do so again."""
    pool, client = FakePool(), Client()
    exchange = pool.exchange(client)
    exchange.start()
    link, _ = pool.link()
    exchange.connected(link)
    link.connection_lost(None)
    assert (pool.retries, client.calls[-1]) == (0, "failed")
    assert client.failure is not None
    assert client.failure[0] is Reason.UPSTREAM_UNAVAILABLE


def test_a_request_whose_body_has_begun_is_not_repeated() -> None:
    """What was sent is not kept."""
    pool, client = FakePool(), Client()
    link, _ = pool.link()
    pool.idle.append(link)
    exchange = pool.exchange(client, b"HEAD", b"PUT", has_body=True)
    exchange.start()
    exchange.body(b"piece")
    link.connection_lost(None)
    assert (pool.retries, client.calls) == (0, ["failed"])


def test_a_request_whose_body_has_not_begun_is_repeated_and_the_client_paused() -> None:
    """Such as one that waits for 100 Continue."""
    pool, client = FakePool(), Client()
    link, _ = pool.link()
    pool.idle.append(link)
    exchange = pool.exchange(client, b"HEAD", b"PUT", has_body=True)
    exchange.start()
    link.connection_lost(None)
    assert (pool.retries, client.calls) == (1, ["pause"])


def test_a_response_that_has_begun_is_not_repeated() -> None:
    """The client has part of it."""
    pool, client = FakePool(), Client()
    link, _ = pool.link()
    pool.idle.append(link)
    exchange = pool.exchange(client)
    exchange.start()
    link.data_received(ANSWER[:-1])
    link.connection_lost(None)
    assert (pool.retries, client.calls) == (0, ["status 200", "failed"])


def test_a_client_that_has_gone_gets_no_link() -> None:
    """One that was opened for it is closed."""
    pool, client = FakePool(), Client()
    exchange = pool.exchange(client)
    exchange.start()
    exchange.cancel()
    link, transport = pool.link()
    exchange.connected(link)
    assert (transport.written, transport.closed) == (b"", "closed")
    assert client.calls == []


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_an_exchange_ends_once(end: str) -> None:
    """Whatever comes after is not for it."""
    pool, client = FakePool(), Client()
    link, transport = pool.link()
    pool.idle.append(link)
    exchange = pool.exchange(client)
    exchange.start()
    if end == "complete":
        link.data_received(ANSWER)
    elif end == "fail":
        exchange.fail(Reason.UPSTREAM_TIMEOUT, "too late")
    else:
        exchange.cancel()
    calls = list(client.calls)
    exchange.fail(Reason.UPSTREAM_UNAVAILABLE, "again")
    exchange.complete()
    exchange.body(b"late")
    link.connection_lost(None)
    assert client.calls == calls
    assert b"late" not in transport.written
    assert (transport.closed is None) is (end == "complete")


def test_a_failure_names_the_upstream() -> None:
    """For the log; the client sees a status."""
    pool, client = FakePool(), Client()
    pool.exchange(client).fail(Reason.UPSTREAM_BUSY, "all connections are in use")
    assert client.failure == (Reason.UPSTREAM_BUSY, "upstream app: all connections are in use")
