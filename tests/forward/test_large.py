"""Large bodies: whoever reads them, the client gets them whole, and the link hears again what comes after."""

from __future__ import annotations

import pytest

from proxy.forward.large import LARGE, PIECE, LargeBody
from proxy.forward.link import Link
from tests.support.relay import Client, FakePool, FakeTransport

pytestmark = pytest.mark.doubles

SIZE = 3 * PIECE
BODY = bytes(range(256)) * (SIZE // 256)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE


class Relay:
    """One exchange on one link, and the app behind it."""

    def __init__(self, client: Client | None = None) -> None:
        self.client = client or Client()
        self.pool = FakePool()
        self.link: Link
        self.transport: FakeTransport
        self.link, self.transport = self.pool.link()
        self.transport.protocol = self.link
        self.pool.idle.append(self.link)
        self.pool.exchange(self.client, b"REQUEST").start()

    @property
    def large(self) -> bool:
        """Whether somebody stands in for the link."""
        return isinstance(self.transport.protocol, LargeBody)

    def say(self, data: bytes) -> None:
        """Let the app say something, to who listens."""
        while data:
            listener = self.transport.protocol
            if isinstance(listener, LargeBody):
                room = listener.get_buffer(-1)
                size = min(len(room), len(data))
                room[:size] = data[:size]
                listener.buffer_updated(size)
                data = data[size:]
            else:
                self.link.data_received(data)
                return


class BrokenClient(Client):
    """Fails where it takes a piece."""

    def send_large(self, data: memoryview) -> None:
        """Fail."""
        raise ZeroDivisionError(len(data))


@pytest.mark.parametrize("first", [len(HEAD), len(HEAD) + 1, len(HEAD) + SIZE - 1, len(HEAD) + SIZE])
def test_a_large_body_arrives_whole_and_the_link_is_used_again(first: int) -> None:
    """However much of it comes along with the head."""
    relay = Relay()
    for _ in range(2):
        stream = HEAD + BODY
        relay.say(stream[:first])
        assert relay.large is (first < len(stream))
        relay.say(stream[first:])
        assert not relay.large
        assert relay.client.got.endswith(b"\r\n\r\n" + BODY)
        assert relay.pool.kept == [relay.link]
        relay.client.got = b""
        relay.pool.idle = [relay.pool.kept.pop()]
        relay.pool.exchange(relay.client, b"REQUEST").start()
    assert relay.client.calls == ["status 200", "done"] * 2


def test_a_body_that_one_read_may_bring_is_left_to_the_link() -> None:
    """Nothing is gained by a change for it."""
    relay = Relay()
    relay.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
    assert not relay.large


def test_more_than_the_length_is_cut_off_and_ends_the_link() -> None:
    """What follows is no answer to anything."""
    relay = Relay()
    relay.say(HEAD + BODY[:10])
    relay.say(BODY[10:] + b"HTTP/1.1 200 OK\r\n\r\n")
    assert relay.client.got.endswith(b"\r\n\r\n" + BODY)
    assert relay.pool.kept == []
    assert relay.transport.closed == "aborted"


def test_an_end_in_the_middle_is_told() -> None:
    """The client has a part of the answer: its connection is cut."""
    relay = Relay()
    relay.say(HEAD + b"x")
    stand_in = relay.transport.protocol
    assert isinstance(stand_in, LargeBody)
    assert stand_in.eof_received() is False
    stand_in.connection_lost(None)
    assert relay.client.calls == ["status 200", "failed"]
    assert relay.pool.removed == [relay.link]


def test_pauses_of_the_request_s_body_go_through() -> None:
    """The app may begin its answer before it has read the request."""
    relay = Relay()
    relay.say(HEAD)
    stand_in = relay.transport.protocol
    assert isinstance(stand_in, LargeBody)
    stand_in.pause_writing()
    stand_in.resume_writing()
    assert relay.client.calls == ["status 200", "pause", "resume"]


def test_what_comes_after_the_client_has_gone_is_dropped() -> None:
    """Its link is cut already."""
    relay = Relay()
    relay.say(HEAD)
    relay.link.abandon()
    relay.say(b"x")
    assert BODY[:1] not in relay.client.pieces


def test_an_exception_cuts_the_client_and_reaches_the_event_loop() -> None:
    """As with any other answer."""
    relay = Relay(BrokenClient())
    relay.say(HEAD)
    with pytest.raises(ZeroDivisionError):
        relay.say(b"x")
    assert relay.client.calls == ["status 200", "broken: ZeroDivisionError(1)"]
