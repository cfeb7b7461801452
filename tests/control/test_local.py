"""The local data plane: a generation is made in slices, and swapped whole."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from proxy.control.local import Local, in_slices
from proxy.control.planes import PublishError
from proxy.snapshot.assemble import Assembler, Steps
from proxy.snapshot.crl_index import CrlIndexError
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from tests.support.certificates import NOW
from tests.support.furnish import furnish, write

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
    file = write(tmp_path / "o.yaml", TEXT.encode())
    furnish(file)
    return file


def test_a_generation_is_swapped_once_it_is_whole(config: Path) -> None:
    """With its number."""
    swapped: list[Snapshot] = []
    asyncio.run(Local(Assembler(), swapped.append).publish(prepare(config, NOW), 7))
    assert [(snapshot.generation, len(snapshot.hosts.hosts)) for snapshot in swapped] == [(7, 1)]


def test_others_get_their_turn_between_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the whole takes, and the collector of garbage stays away until it is over."""
    monkeypatch.setattr("proxy.control.local.SLICE", 0.0)
    turns: list[bool] = []

    def steps() -> Steps[Snapshot]:
        for _ in range(5):
            assert not gc.isenabled()
            yield
        raise CrlIndexError("gone")

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def turn() -> None:
            turns.append(gc.isenabled())
            loop.call_soon(turn)

        loop.call_soon(turn)
        with pytest.raises(CrlIndexError):
            await in_slices(steps())

    asyncio.run(main())
    assert len(turns) >= 4
    assert gc.isenabled()


def test_an_index_that_has_gone_swaps_nothing(config: Path) -> None:
    """It is the publisher's word for it that the plane understands."""
    swapped: list[Snapshot] = []

    class Gone(Assembler):
        def assemble(self, prepared: Prepared, generation: int) -> Steps[Snapshot]:
            raise CrlIndexError(f"{prepared.files[0]}: no index for {generation}")
            yield

    with pytest.raises(PublishError, match="no index for 2"):
        asyncio.run(Local(Gone(), swapped.append).publish(prepare(config, NOW), 2))
    assert swapped == []
