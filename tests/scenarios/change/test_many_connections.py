"""Hundreds of connections of many identities: one identity is revoked, and its connections alone go, at once."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from proxy.operate.demo.pki import Leaf
from tests.support.harness import PATIENCE, RawOrigin, readable
from tests.support.site import ZONE
from tests.support.stage import stage

IDENTITIES = 25
EACH = 10


def test_one_identity_of_many_is_revoked(tmp_path: Path) -> None:
    """None of the others hears anything, and each goes on being served."""
    with RawOrigin() as origin, stage(tmp_path, origin.port) as made, ExitStack() as stack:
        who = [made.cdn.issue(Leaf(subject=f"edge {number}")) for number in range(IDENTITIES)]
        clients = [[stack.enter_context(made.house.client(one)) for _ in range(EACH)] for one in who]
        made.house.wait(lambda: len(made.house.house.connections) == IDENTITIES * EACH)
        made.revoke(who[7])
        made.publish()
        for client in clients.pop(7):
            assert readable(client.socket, PATIENCE)
            assert client.read() == b""
            assert client.closed
        assert not any(readable(client.socket, 0) for row in clients for client in row)
        assert all(row[0].get("/", ZONE).status == 200 for row in clients)
        made.house.wait(lambda: len(made.house.lines("connection.withdrawn")) == EACH)
