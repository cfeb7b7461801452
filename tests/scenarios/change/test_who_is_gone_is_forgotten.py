"""A connection that is over is gone from memory at once: no reload keeps it, for none waits for the collector."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from proxy.accept.arrival import Arrival
from proxy.connection import Connection
from proxy.operate.demo.pki import Authority, Credential, Leaf
from tests.support.harness import RawOrigin
from tests.support.living import Living, living
from tests.support.site import ZONE, required, small_site

HEAD = f"GET / HTTP/1.1\r\nHost: {ZONE}\r\n".encode()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Living, Credential]]:
    """Run a house in this process."""
    folder = tmp_path_factory.mktemp("house")
    with RawOrigin() as origin:
        config, cdn = small_site(folder, origin.port, required())
        with living(folder, config) as made:
            yield made, cdn.issue(Leaf(dns=("edge.example",)))


def served(made: Living, credential: Credential) -> None:
    """Send a request, and go."""
    with made.client(credential) as client:
        assert client.get("/", ZONE).status == 200


def ended(made: Living, credential: Credential) -> None:
    """Send a last request."""
    with made.client(credential) as client:
        client.send(HEAD + b"Connection: close\r\n\r\n")
        client.read_all()


def left(made: Living, credential: Credential) -> None:
    """Go before the answer is there."""
    with made.client(credential) as client:
        client.send(HEAD + b"\r\n")


def confused(made: Living, credential: Credential) -> None:
    """Send what is no request."""
    with made.client(credential) as client:
        client.send(b"GET\r\n\r\n")
        client.read_all()


def refused(made: Living, _credential: Credential) -> None:
    """Show a stranger's certificate."""
    with made.client(Authority.root("Rogue").issue(Leaf())) as client:
        client.read()


@pytest.mark.parametrize("visit", [served, ended, left, confused, refused])
def test_nothing_of_it_waits_for_the_collector(
    house: tuple[Living, Credential], visit: Callable[[Living, Credential], None]
) -> None:
    """However it ended."""
    made, credential = house
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            visit(made, credential)
        made.wait(lambda: not made.call(lambda: [o for o in gc.get_objects() if isinstance(o, Connection | Arrival)]))
    finally:
        gc.enable()
