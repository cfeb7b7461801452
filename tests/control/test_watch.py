"""Watching: every way in which a file comes to be another one is seen, and what is no change is not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.control import watch as module
from proxy.control.watch import Watch
from proxy.snapshot.stamps import Watched, stamp

PATIENCE = 10.0


class Watcher:
    """A watch, and whoever reloads for it."""

    def __init__(self, *paths: Path) -> None:
        self.paths = tuple(map(str, paths))
        self.watched = Watched(self.paths, stamp(self.paths))
        self.wanted = True
        self.reloads = 0
        self.told: list[str] = []
        self._news = asyncio.Event()
        self.watch = Watch(lambda: self.watched, lambda: self.wanted, self._reload, self.told.append)

    async def _reload(self) -> None:
        self.watched = Watched(self.paths, stamp(self.paths))
        self.reloads += 1
        self._news.set()

    async def reloaded(self) -> None:
        """Wait for a reload."""
        async with asyncio.timeout(PATIENCE):
            await self._news.wait()
        self._news.clear()


@asynccontextmanager
async def watching(*paths: Path) -> AsyncIterator[Watcher]:
    """Watch for the length of a block."""
    watcher = Watcher(*paths)
    running = asyncio.create_task(watcher.watch.run())
    try:
        yield watcher
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def play(script: Callable[[], Awaitable[None]]) -> None:
    """Run a script without the looks that come by themselves: only notices can be what is seen."""
    asyncio.run(script())


@pytest.fixture(autouse=True)
def _only_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 1000.0)


def kubernetes(folder: Path) -> Path:
    """Lay a file out as Kubernetes mounts a secret: by two symbolic links."""
    (folder / "..one").mkdir()
    (folder / "..one" / "ca.pem").write_text("one")
    (folder / "..data").symlink_to("..one")
    (folder / "ca.pem").symlink_to("..data/ca.pem")
    return folder / "ca.pem"


def swap(folder: Path) -> None:
    """Update it as Kubernetes does."""
    (folder / "..two").mkdir()
    (folder / "..two" / "ca.pem").write_text("two")
    (folder / "..new").symlink_to("..two")
    (folder / "..new").rename(folder / "..data")


def rename_over(file: Path) -> None:
    """Save a file as an editor does."""
    new = file.with_name(".new")
    new.write_text("new")
    new.rename(file)


def move_away_and_back(file: Path) -> None:
    """Save a file as another editor does."""
    file.rename(file.with_name("file~"))
    file.write_text("new")


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda file: file.write_text("new"),
    "renamed over": rename_over,
    "moved away and back": move_away_and_back,
    "removed": lambda file: file.unlink(),
    "made unreadable": lambda file: file.chmod(0o000),
    "same size and time": lambda file: (file.write_text("two"), os.utime(file, ns=(1, 1))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_file_is_seen(tmp_path: Path, change: Callable[[Path], object]) -> None:
    """However it was changed."""
    file = tmp_path / "file"
    file.write_text("one")

    async def script() -> None:
        async with watching(file) as watcher:
            await asyncio.sleep(0)
            change(file)
            await watcher.reloaded()

    play(script)


def test_a_swapped_volume_is_seen_again_and_again(tmp_path: Path) -> None:
    """The file itself never changes; the link two steps away does."""
    file = kubernetes(tmp_path)

    async def script() -> None:
        async with watching(file) as watcher:
            swap(tmp_path)
            await watcher.reloaded()
            assert file.read_text() == "two"
            (tmp_path / "..two" / "ca.pem").write_text("three")
            await watcher.reloaded()

    play(script)


def test_a_link_on_the_way_to_a_folder_is_seen(tmp_path: Path) -> None:
    """Releases are often switched by ``current -> releases/2``."""
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "ca.pem").write_text(number)
    (tmp_path / "current").symlink_to(tmp_path / "1")

    async def script() -> None:
        async with watching(tmp_path / "current" / "ca.pem") as watcher:
            (tmp_path / "next").symlink_to(tmp_path / "2")
            (tmp_path / "next").rename(tmp_path / "current")
            await watcher.reloaded()

    play(script)


def test_a_folder_that_gains_and_loses_a_file_is_seen(tmp_path: Path) -> None:
    """An authority that is added by a file of its own counts at once."""
    folder = tmp_path / "anchors"
    folder.mkdir()

    async def script() -> None:
        async with watching(folder) as watcher:
            (folder / "new.pem").write_text("new")
            await watcher.reloaded()
            (folder / "new.pem").unlink()
            await watcher.reloaded()

    play(script)


def test_what_does_not_exist_yet_is_seen_when_it_does(tmp_path: Path) -> None:
    """Folders on the way included."""
    file = tmp_path / "a" / "b" / "file"

    async def script() -> None:
        async with watching(file) as watcher:
            (tmp_path / "a").mkdir()
            watcher.watch.nudge()
            file.parent.mkdir()
            watcher.watch.nudge()
            file.write_text("new")
            watcher.watch.nudge()
            await watcher.reloaded()

    play(script)


def test_what_changed_before_the_watch_began_is_seen(tmp_path: Path) -> None:
    """Nothing is lost between reading a file and watching it."""
    file = tmp_path / "file"
    file.write_text("one")

    async def script() -> None:
        watcher = Watcher(file)
        file.write_text("three")
        running = asyncio.create_task(watcher.watch.run())
        await watcher.reloaded()
        running.cancel()

    play(script)


def test_neighbours_are_nobodys_business(tmp_path: Path) -> None:
    """A log beside the configuration makes nobody look, and a look without a change makes nobody reload."""
    file, log = tmp_path / "file", tmp_path / "log"
    file.write_text("one")

    async def script() -> None:
        async with watching(file) as watcher:
            log.write_text("line")
            watcher.watch.nudge()
            file.write_text("two")
            await watcher.reloaded()
            assert watcher.reloads == 1
            assert not watcher.watch._counts(module.Change.modified, str(log))
            assert watcher.watch._counts(module.Change.modified, str(file))

    play(script)


def test_what_is_switched_off_is_not_watched(tmp_path: Path) -> None:
    """Until it is switched on again."""
    file = tmp_path / "file"
    file.write_text("one")

    async def script() -> None:
        async with watching(file) as watcher:
            watcher.wanted = False
            watcher.watch.nudge()
            file.write_text("two")
            for _ in range(20):
                await asyncio.sleep(0)
            assert watcher.reloads == 0
            watcher.wanted = True
            watcher.watch.nudge()
            await watcher.reloaded()

    play(script)


def test_without_notices_files_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's number of watches is limited, and others use them, too; it is said once."""
    file = tmp_path / "file"
    file.write_text("one")

    def exhausted(*_paths: str, **_options: object) -> object:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(module, "awatch", exhausted)
    monkeypatch.setattr(module, "LOOK_BLINDLY_SECONDS", 0.01)

    async def script() -> None:
        async with watching(file) as watcher:
            for text in ("two", "three"):
                file.write_text(text)
                await watcher.reloaded()
            (words,) = watcher.told
            assert "no notice of changed files" in words

    play(script)
