"""The house: what all connections share."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from proxy.house import House
from proxy.life import peer_text
from proxy.observe.log import open_log
from proxy.observe.metrics import Metrics
from proxy.snapshot.load import load
from tests.support.site import public, small_site


def test_names_of_connections_do_not_repeat(tmp_path: Path) -> None:
    """They tie log lines together, also across processes: each has a prefix of its own."""
    config, _ = small_site(tmp_path, 9, public())
    snapshot, loop = load(config, 1, time.time()), asyncio.new_event_loop()
    log = open_log(tmp_path / "log")
    houses = [House(snapshot, log, Metrics(), loop) for _ in range(2)]
    names = [house.next_id() for house in houses for _ in range(100)]
    assert len(set(names)) == 200
    log.close()
    loop.close()


@pytest.mark.parametrize(
    ("address", "text"), [(("192.0.2.1", 80), "192.0.2.1:80"), (("2001:db8::1", 80), "[2001:db8::1]:80")]
)
def test_an_address_is_written_with_its_port(address: tuple[str, int], text: str) -> None:
    """RFC 3986, section 3.2.2: an IPv6 address goes in brackets."""
    assert peer_text(address) == text
