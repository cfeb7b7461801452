"""The cache: files appear whole or not at all, what is used stays, and nobody else's files are touched."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from proxy.snapshot import cache as module
from proxy.snapshot.cache import MAX_SIZE, SPARED, UNUSED, Cache, CacheError, open_cache

NOW = time.time()
A, B, C = ("a" * 64 + ".crl-index", "b" * 64 + ".crl-index", "c" * 64 + ".crl-index")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Open a cache in a new folder."""
    return open_cache(tmp_path / "cache")


def names(cache: Cache) -> set[str]:
    """List the files of a cache."""
    return {path.name for path in cache.directory.iterdir()}


def put(cache: Cache, name: str, age: float, data: bytes = b"x") -> None:
    """Write a file as if ``age`` seconds ago."""
    cache.path(name).write_bytes(data)
    os.utime(cache.path(name), (NOW - age, NOW - age))


def test_a_folder_is_made_for_this_user_alone(cache: Cache) -> None:
    """And what is in it, too."""
    assert stat.S_IMODE(cache.directory.stat().st_mode) == 0o700
    assert cache.write(A, [b"one", memoryview(b"two")]) == 6
    assert stat.S_IMODE(cache.path(A).stat().st_mode) == 0o600
    assert cache.read(A) == b"onetwo"
    assert cache.read(A, 5) is None
    assert cache.read(B) is None


@pytest.mark.parametrize(
    ("mode", "words"), [(0o777, "written to by others"), (0o770, "written to by others"), (0o755, ""), (0o700, "")]
)
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int, words: str) -> None:
    """What is in it is believed; that others can read it is no matter."""
    tmp_path.chmod(mode)
    if not words:
        assert open_cache(tmp_path) == Cache(tmp_path)
        return
    with pytest.raises(CacheError, match=words):
        open_cache(tmp_path)


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says whose it is."""
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with pytest.raises(CacheError, match=rf"belongs to uid {os.getuid()}, and this is uid 12345; chown it"):
        open_cache(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    """A file, a folder whose parent is missing, one that is not there and not to be made."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match="is no folder"):
        open_cache(tmp_path / "file")
    with pytest.raises(CacheError, match="No such file or directory; make it"):
        open_cache(tmp_path / "no" / "where")
    with pytest.raises(CacheError, match="No such file or directory; make it"):
        open_cache(tmp_path / "nowhere", make=False)
    assert not (tmp_path / "nowhere").exists()


def test_a_write_that_fails_leaves_what_was_there(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file, whole, and no piece of the new one."""
    cache.write(A, [b"old"])

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        cache.write(A, [b"new"])
    assert names(cache) == {A}
    assert cache.read(A) == b"old"


def test_a_name_says_what_it_holds(cache: Cache) -> None:
    """Nothing else gets in, and nobody gets out."""
    for name in ("../" + A, "x.crl-index", A + "/x"):
        with pytest.raises(ValueError, match="no name in the cache"):
            cache.write(name, [b""])


def test_what_nobody_has_used_for_long_goes(cache: Cache) -> None:
    """What is in use stays however old it is, and is as new as can be afterwards."""
    put(cache, A, UNUSED + 1)
    put(cache, B, UNUSED + 1)
    put(cache, C, UNUSED - 1)
    assert cache.keep([A, "d" * 64 + ".crl-index"], NOW) == 1
    assert names(cache) == {A, C}
    assert cache.path(A).stat().st_mtime > NOW - SPARED


def test_beyond_the_bound_the_longest_unused_goes_first(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """But nothing that was used a moment ago: another instance may be about to open it."""
    monkeypatch.setattr(module, "MAX_SIZE", 25)
    put(cache, A, SPARED + 2, bytes(10))
    put(cache, B, SPARED + 1, bytes(10))
    put(cache, C, SPARED - 1, bytes(20))
    assert cache.keep([], NOW) == 2
    assert names(cache) == {C}
    monkeypatch.setattr(module, "MAX_SIZE", 5)
    assert cache.keep([], NOW) == 0
    assert MAX_SIZE > 100 * (25 << 20)


def test_a_write_that_was_interrupted_is_cleared_away(cache: Cache) -> None:
    """Once nobody can be at it any more."""
    put(cache, ".0123456789abcdef.new", SPARED + 1)
    put(cache, ".fedcba9876543210.new", SPARED - 1)
    assert cache.keep([], NOW) == 1
    assert names(cache) == {".fedcba9876543210.new"}


def test_files_of_others_are_left_alone(cache: Cache) -> None:
    """Somebody may name a folder that has other things in it."""
    strange = {"thesis.pdf", "a" * 63 + ".crl-index", ".profile", "x.new"}
    for name in strange:
        put(cache, name, UNUSED * 2)
    (cache.directory / ("e" * 64 + ".folder")).mkdir()
    os.utime(cache.directory / ("e" * 64 + ".folder"), (0, 0))
    assert cache.keep([], NOW) == 0
    assert names(cache) == strange | {"e" * 64 + ".folder"}
