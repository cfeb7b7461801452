"""Which cache: what the configuration names, else what systemd gives, else one that goes with the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.snapshot.cache import Cache
from proxy.snapshot.cache_choice import Places, PrivateCache, choose_cache, given_directory
from proxy.snapshot.config import Config, validate
from proxy.snapshot.problems import KeyPath

PRIVATE = Cache(Path("/private"), lasting=False)
REVOCATION: dict[str, Any] = {"check": "leaf", "crl": {"sources": ["a.crl"]}}


class Notes:
    """What was noted."""

    def __init__(self) -> None:
        self.problems: list[tuple[KeyPath, str]] = []
        self.warnings: list[tuple[KeyPath, str]] = []

    def problem(self, at: KeyPath, message: str) -> None:
        """Note what is wrong."""
        self.problems.append((at, message))

    def warn(self, at: KeyPath, message: str) -> None:
        """Note what is worrying."""
        self.warnings.append((at, message))


def config(base: Path, cache: str | None = None, revocation: dict[str, Any] | None = REVOCATION) -> Config:
    """Make a configuration."""
    values: dict[str, Any] = {
        "listen": [{"address": "127.0.0.1:0"}],
        "trust": {"cdn": {"anchors": ["a.pem"], "revocation": revocation}},
        "upstreams": {"app": {"servers": ["http://127.0.0.1:1"]}},
        "hosts": [
            {
                "names": ["a.example"],
                "certificate": {"chain": "c.pem", "key": "k.pem"},
                "routes": [{"path": "/", "trust": "cdn", "upstream": "app"}],
            }
        ],
    }
    if cache is not None:
        values["cache"] = {"directory": cache}
    return validate(values, base)


def test_the_first_that_is_named_is_taken(tmp_path: Path) -> None:
    """The configuration, the environment, the process's own."""
    notes = Notes()
    places = Places(tmp_path / "given", PRIVATE)
    assert choose_cache(config(tmp_path, "mine"), places, notes) == Cache(tmp_path / "mine")
    assert choose_cache(config(tmp_path), places, notes) == Cache(tmp_path / "given")
    assert choose_cache(config(tmp_path), Places(None, PRIVATE), notes) == PRIVATE
    assert (notes.problems, notes.warnings) == ([], [])
    assert choose_cache(config(tmp_path), Places(), notes) is None
    assert [at for at, _ in notes.warnings] == [("cache", "directory")]


@pytest.mark.parametrize(("mode", "count"), [("hard", 1), ("soft", 1), ("off", 0)])
def test_what_is_fetched_wants_to_outlast_the_process(tmp_path: Path, mode: str, count: int) -> None:
    """Or a restart without network refuses everybody, which is better said at a quiet hour."""
    notes = Notes()
    asks = config(tmp_path, None, {**REVOCATION, "ocsp": {"mode": mode, "allow_hosts": ["ocsp.example"]}})
    assert choose_cache(asks, Places(None, PRIVATE), notes) == PRIVATE
    assert [at for at, text in notes.warnings if "outlasts this process" in text] == [("cache", "directory")] * count
    assert choose_cache(asks, Places(tmp_path / "given", PRIVATE), notes) == Cache(tmp_path / "given")
    assert len(notes.warnings) == count


@pytest.mark.parametrize("revocation", [None, {"check": "none"}])
def test_no_cache_is_made_for_nothing(tmp_path: Path, revocation: dict[str, Any] | None) -> None:
    """Without revocation nothing is kept."""
    assert choose_cache(config(tmp_path, None, revocation), Places(tmp_path / "given", PRIVATE), Notes()) is None
    assert not (tmp_path / "given").exists()


def test_a_folder_that_is_not_fit_refuses_the_start(tmp_path: Path) -> None:
    """At the key that names it, or would."""
    notes = Notes()
    (tmp_path / "cache").mkdir(mode=0o777)
    (tmp_path / "cache").chmod(0o777)
    assert choose_cache(config(tmp_path, "cache"), Places(), notes) is None
    assert choose_cache(config(tmp_path), Places(tmp_path / "cache"), notes) is None
    assert [at for at, _ in notes.problems] == [("cache", "directory")] * 2
    assert "can be written to by others" in notes.problems[0][1]


def test_somebody_who_only_asks_makes_nothing_and_is_warned(tmp_path: Path) -> None:
    """``check`` may be run by another user than the proxy's."""
    notes = Notes()
    assert choose_cache(config(tmp_path, "cache"), None, notes) is None
    assert not (tmp_path / "cache").exists()
    (tmp_path / "cache").write_text("no folder")
    assert choose_cache(config(tmp_path, "cache"), None, notes) is None
    assert notes.problems == []
    assert notes.warnings == [(("cache", "directory"), f"for the user of this command: {tmp_path}/cache is no folder")]


@pytest.mark.parametrize(
    ("value", "expected"), [("/var/cache/a", Path("/var/cache/a")), ("/a:/b", Path("/a")), ("", None), (None, None)]
)
def test_systemd_names_the_first_of_its_folders(value: str | None, expected: Path | None) -> None:
    """``CacheDirectory=`` may list several."""
    assert given_directory({} if value is None else {"CACHE_DIRECTORY": value}) == expected


def test_a_private_cache_goes_with_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed, it is removed; one whose process was killed is removed by the next, and a living one's is not."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    living = PrivateCache()
    living.cache.write("a" * 64 + ".crl-index", [b"x"])
    program = (
        "import os, sys, tempfile; tempfile.gettempdir = lambda: sys.argv[1]\n"
        "from proxy.snapshot.cache_choice import PrivateCache\n"
        "print(PrivateCache().cache.directory, flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=False, text=True)
    left = Path(killed.stdout.strip())
    assert left.parent == tmp_path
    for directory in (left, living.cache.directory):
        assert directory.stat().st_mode & 0o777 == 0o700
        os.utime(directory, (0, 0))
    following = PrivateCache()
    assert set(tmp_path.iterdir()) == {living.cache.directory, following.cache.directory}
    young = PrivateCache()
    following.close()
    young.close()
    living.close()
    assert list(tmp_path.iterdir()) == []
