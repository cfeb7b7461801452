"""The local data plane: a generation is made in slices, and swapped whole."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Mapping
from pathlib import Path
from weakref import ref

import pytest

from proxy.control.local import Local, in_slices
from proxy.control.planes import PublishError, Settled
from proxy.snapshot.assemble import Assembler, Steps
from proxy.snapshot.crl_index import CrlIndexError
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from tests.support.certificates import NOW
from tests.support.furnish import furnish, furnished

TEXT = """\
listen: [{address: "127.0.0.1:0"}]
upstreams: {app: {servers: ["http://127.0.0.1:9000"]}}
hosts:
  - names: [a.example]
    certificate: {chain: tls/a.pem, key: tls/a.key}
    routes: [{path: /, client_certificate: none, upstream: app}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Make a good configuration with everything that it names."""
    return furnished(tmp_path, TEXT)


class Traffic:
    """Carries none, and notes under which snapshot it would."""

    def __init__(self) -> None:
        self.in_force: list[Snapshot] = []

    def staging(self, snapshot: Snapshot) -> Steps[Callable[[], None]]:
        """Make ready nothing."""
        yield
        return lambda: self.in_force.append(snapshot)

    def settle(self, outcomes: Mapping[bytes, Settled]) -> None:
        """Never hear of needs."""
        raise NotImplementedError(outcomes)


def test_a_generation_is_swapped_once_it_is_whole(config: Path) -> None:
    """With its number."""
    traffic, told = Traffic(), []
    asyncio.run(Local(Assembler(), traffic, told.append).publish(prepare(config, NOW), 7))
    assert [(snapshot.generation, len(snapshot.hosts.hosts)) for snapshot in traffic.in_force] == [(7, 1)]
    assert told == traffic.in_force


def test_what_is_staged_is_not_in_force_until_it_is_swapped(config: Path) -> None:
    """Several processes swap once all of them can."""
    traffic = Traffic()
    swap = asyncio.run(Local(Assembler(), traffic, lambda _: None).stage(prepare(config, NOW), 7))
    assert traffic.in_force == []
    swap()
    assert [snapshot.generation for snapshot in traffic.in_force] == [7]


def test_what_is_gone_is_gone(config: Path) -> None:
    """The parts of an earlier generation are let go of, and nothing of them waits for a collector."""
    traffic = Traffic()
    local = Local(Assembler(), traffic, lambda _: None)
    asyncio.run(local.publish(prepare(config, NOW), 1))
    context = ref(next(iter(traffic.in_force.pop().contexts.values())))
    furnish(config)  # another certificate
    gc.disable()
    try:
        asyncio.run(local.publish(prepare(config, NOW), 2))
        assert context() is None
    finally:
        gc.enable()


def test_others_get_their_turn_between_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the whole takes."""
    monkeypatch.setattr("proxy.control.local.SLICE", 0.0)
    turns: list[None] = []

    def steps() -> Steps[Snapshot]:
        for _ in range(5):
            yield
        raise CrlIndexError("gone")

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def turn() -> None:
            turns.append(None)
            loop.call_soon(turn)

        loop.call_soon(turn)
        with pytest.raises(CrlIndexError):
            await in_slices(steps())

    asyncio.run(main())
    assert len(turns) >= 4


def test_an_index_that_has_gone_swaps_nothing(config: Path) -> None:
    """It is the publisher's word for it that the plane understands."""
    traffic = Traffic()

    class Gone(Assembler):
        def assemble(self, prepared: Prepared, generation: int) -> Steps[Snapshot]:
            raise CrlIndexError(f"{prepared.files[0]}: no index for {generation}")
            yield

    with pytest.raises(PublishError, match="no index for 2"):
        asyncio.run(Local(Gone(), traffic, lambda _: None).publish(prepare(config, NOW), 2))
    assert traffic.in_force == []
    assert gc.isenabled()
