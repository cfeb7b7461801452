"""The plane: reloads and other changes take turns, are numbered without gaps, and leave what was where they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.control.offload import Offload
from proxy.control.plane import Outcome, Plane, Result
from proxy.control.planes import PublishError
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from proxy.snapshot.problems import ConfigError, Problem
from tests.support.certificates import NOW, make_ca
from tests.support.furnish import furnished, pem, write
from tests.support.harness import PATIENCE

TEXT = """\
listen: [{address: "127.0.0.1:0"}]
trust: {cdn: {anchors: [cdn.pem]}}
upstreams: {app: {servers: ["http://127.0.0.1:9000"]}}
hosts:
  - names: [a.example]
    certificate: {chain: tls/a.pem, key: tls/a.key}
    routes: [{path: /, trust: cdn, upstream: app}]
"""


class Recorder:
    """A data plane that notes what is published, once it is let; ``fault`` is raised instead where there is one."""

    def __init__(self) -> None:
        self.generations: list[int] = []
        self.fault: Exception | None = None
        self.entered = asyncio.Event()
        self.let = asyncio.Event()
        self.let.set()

    async def publish(self, prepared: Prepared, generation: int) -> None:
        """Note a generation."""
        assert prepared.hosts
        self.entered.set()
        await self.let.wait()
        if self.fault is not None:
            raise self.fault
        self.generations.append(generation)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Make a good configuration with everything that it names."""
    return furnished(tmp_path, TEXT)


Script = Callable[[Plane, Recorder], Awaitable[None]]


def play(config: Path, offload: Offload, script: Script) -> list[Outcome]:
    """Run a script on a plane at generation 1; return what was reported."""
    outcomes: list[Outcome] = []

    async def main() -> None:
        data = Recorder()
        plane = Plane(config, prepare(config, NOW), 1, places=None, data=data, offload=offload)
        plane.ended = outcomes.append
        await script(plane, data)

    asyncio.run(main())
    return outcomes


def other_anchor(config: Path) -> None:
    """Change a file."""
    write(config.parent / "cdn.pem", pem(make_ca("Other")))


def test_a_changed_file_is_the_next_generation(config: Path, offload: Offload) -> None:
    """And what differs is named."""

    async def script(plane: Plane, data: Recorder) -> None:
        other_anchor(config)
        outcome = await plane.request("signal")
        assert (outcome.result, outcome.generation, outcome.triggers) == (Result.DONE, 2, ("signal",))
        assert outcome.changes.added[0].startswith("anchor cdn: CN=Other sha256:")
        assert data.generations == [2]
        assert plane.watched == plane.prepared.watched

    assert [outcome.result for outcome in play(config, offload, script)] == [Result.DONE]


def test_nothing_new_is_no_generation(config: Path, offload: Offload) -> None:
    """Whoever touches a file disturbs nobody."""

    async def script(plane: Plane, data: Recorder) -> None:
        (config.parent / "cdn.pem").touch()
        outcome = await plane.request("watch")
        assert (outcome.result, outcome.generation) == (Result.UNCHANGED, 1)
        assert data.generations == []

    play(config, offload, script)


def test_a_broken_file_leaves_what_is(config: Path, offload: Offload) -> None:
    """The problem names file and line, and what is watched now is what the broken configuration names."""

    async def script(plane: Plane, data: Recorder) -> None:
        write(config, TEXT.replace("cdn.pem", "missing.pem").encode())
        before = plane.prepared
        outcome = await plane.request("signal")
        assert (outcome.result, outcome.generation) == (Result.FAILED, 1)
        assert outcome.problems[0].startswith(f"{config}:2: trust.cdn.anchors[0]: ")
        assert plane.prepared is before
        assert str(config.parent / "missing.pem") in plane.watched.paths
        assert data.generations == []

    play(config, offload, script)


@pytest.mark.parametrize("fault", [PublishError("worker 2 has no memory")])
def test_a_generation_that_cannot_be_put_in_force_is_not_counted(
    config: Path, offload: Offload, fault: Exception
) -> None:
    """The next good one gets its number."""

    async def script(plane: Plane, data: Recorder) -> None:
        other_anchor(config)
        data.fault = fault
        outcome = await plane.request("signal")
        assert (outcome.result, outcome.generation, outcome.problems) == (Result.REFUSED, 1, (str(fault),))
        data.fault = None
        assert (await plane.request("signal")).generation == 2

    play(config, offload, script)


def test_a_good_change_that_cannot_be_put_in_force_is_tried_again(
    config: Path, offload: Offload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself: a worker that dies in between must not leave a revoked client in until somebody asks once more."""
    monkeypatch.setattr("proxy.control.plane.FIRST_RETRY_SECONDS", 0.01)

    async def script(plane: Plane, data: Recorder) -> None:
        other_anchor(config)
        data.fault = PublishError("worker 2 ended")
        assert (await plane.request("watch")).result is Result.REFUSED
        while plane.retries < 3:
            await asyncio.wait_for(data.entered.wait(), PATIENCE)
            await asyncio.sleep(0)
        data.fault = None
        await asyncio.wait_for(plane.published.wait(), PATIENCE)
        assert (plane.generation, plane.retries) == (2, 0)

    outcomes = play(config, offload, script)
    assert [outcome.triggers for outcome in outcomes[:2]] == [("watch",), ("retry",)]


def test_a_bad_change_is_not_tried_again(config: Path, offload: Offload) -> None:
    """It is as bad as it was, until a file changes."""

    async def script(plane: Plane, _data: Recorder) -> None:
        write(config.parent / "cdn.pem", b"junk")
        assert (await plane.request("watch")).result is Result.FAILED
        assert plane.retries == 0

    play(config, offload, script)


def test_an_exception_that_nobody_foresaw_is_an_outcome_too(config: Path, offload: Offload) -> None:
    """Whoever waits for the reload hears of it, and the next one is not held up."""

    async def script(plane: Plane, data: Recorder) -> None:
        other_anchor(config)
        data.fault = ZeroDivisionError("oops")
        outcome = await plane.request("signal")
        assert outcome.result is Result.REFUSED
        assert outcome.problems == ("an internal error: ZeroDivisionError: oops",)
        data.fault = None
        assert (await plane.request("signal")).generation == 2

    play(config, offload, script)


def test_a_setting_that_takes_a_restart_is_refused_with_the_rest(config: Path, offload: Offload) -> None:
    """Half of a change is nobody's wish."""

    async def script(plane: Plane, data: Recorder) -> None:
        write(config, TEXT.replace("127.0.0.1:0", "127.0.0.2:0").replace("path: /,", "path: /new,").encode())
        outcome = await plane.request("signal")
        assert outcome.result is Result.REFUSED
        assert outcome.problems[0].startswith("listen: ['127.0.0.1:0'] -> ['127.0.0.2:0'] takes a restart")
        assert data.generations == []

    play(config, offload, script)


def test_reloads_asked_for_during_one_are_one_more(config: Path, offload: Offload) -> None:
    """It comes afterwards, for it has to see what changed meanwhile, and all who asked get its outcome."""

    async def script(plane: Plane, data: Recorder) -> None:
        other_anchor(config)
        data.let.clear()
        first = plane.request("watch")
        await data.entered.wait()
        later = [plane.request(trigger) for trigger in ("signal", "command", "signal")]
        assert len({*later}) == 1
        assert later[0] is not first
        other_anchor(config)
        data.let.set()
        assert (await first).generation == 2
        outcome = await later[0]
        assert (outcome.generation, outcome.triggers) == (3, ("signal", "command"))

    assert len(play(config, offload, script)) == 2


def test_other_changes_take_their_turn(config: Path, offload: Offload) -> None:
    """A refreshed CRL starts from what the reload before it left, whatever it saw when it was asked for."""

    async def script(plane: Plane, data: Recorder) -> None:
        other_anchor(config)
        data.let.clear()
        reload = plane.request("signal")
        await data.entered.wait()
        seen: list[Prepared] = []

        def alter(prepared: Prepared) -> Prepared:
            seen.append(prepared)
            return replace(prepared, warnings=("altered",))

        change = asyncio.create_task(plane.change(alter))
        data.let.set()
        await reload
        assert await change == 3
        assert seen[0].digest == plane.prepared.digest
        assert plane.prepared.warnings == ("altered",)
        assert await plane.change(lambda prepared: prepared) == 3
        assert data.generations == [2, 3]

    play(config, offload, script)


def test_what_comes_from_elsewhere_is_added_before_anything_is_in_force(config: Path, offload: Offload) -> None:
    """And may refuse the whole."""

    async def script(plane: Plane, data: Recorder) -> None:
        async def refuse(_prepared: Prepared) -> Prepared:
            raise ConfigError([Problem(config, 3, "trust", "the CRL cannot be fetched")])

        async def complete(prepared: Prepared) -> Prepared:
            return replace(prepared, warnings=("completed",))

        other_anchor(config)
        plane.complete = refuse
        assert (await plane.request("signal")).problems == (f"{config}:3: trust: the CRL cannot be fetched",)
        plane.complete = complete
        outcome = await plane.request("signal")
        assert (outcome.generation, outcome.warnings) == (2, ("completed",))
        assert data.generations == [2]

    play(config, offload, script)
