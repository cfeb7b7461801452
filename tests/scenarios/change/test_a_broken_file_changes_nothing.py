"""A broken file, of every kind, offered while traffic flows: what was in force serves on, and one line says why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.operate.demo.pki import Authority, Leaf
from tests.support.harness import ProxyProcess, RawOrigin, TlsClient, running
from tests.support.site import ZONE, required, small_site

HUGE = 1 << 30


@dataclass
class Place:
    """A running proxy, with a client that has been there since before anything broke."""

    folder: Path
    proxy: ProxyProcess
    cdn: Authority
    client: TlsClient


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Run one proxy for all of it: each file is mended again."""
    folder = tmp_path_factory.mktemp("site")
    with RawOrigin() as origin:
        trust = {"cdn": {"anchors": ["cdn.pem", "anchors/"]}}
        config, cdn = small_site(folder, origin.port, required(), trust=trust)
        (folder / "anchors").mkdir()
        Authority.root("More CA").write(folder / "anchors" / "more.pem")
        with running(config) as proxy:
            credential = cdn.issue(Leaf(dns=("edge.example",)))
            with TlsClient(proxy.port, ZONE, credential).handshake() as client:
                yield Place(folder, proxy, cdn, client)


def truncate(file: Path) -> None:
    """Cut a file in the middle."""
    file.write_bytes(file.read_bytes()[:200])


def fifo(file: Path) -> None:
    """Put a FIFO there that nobody writes to."""
    file.unlink()
    os.mkfifo(file)


def huge(file: Path) -> None:
    """Make a file of a gigabyte."""
    with file.open("r+b") as stream:
        stream.truncate(HUGE)


def folder_instead(file: Path) -> None:
    """Put an empty folder there."""
    file.unlink()
    file.mkdir()


def other_key(file: Path) -> None:
    """Put a key there that belongs to nothing."""
    other = Authority.root("Else").issue(Leaf(subject="else"))
    other.write(file.parent.parent / "else")
    file.write_bytes((file.parent.parent / "else" / "key.pem").read_bytes())


def dangling(file: Path) -> None:
    """Put a link to nowhere there."""
    file.unlink()
    file.symlink_to("nowhere")


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "truncated certificate": ("cdn.pem", truncate, "trust.cdn.anchors[0]"),
    "truncated key": ("tls/key.pem", lambda file: file.write_bytes(file.read_bytes()[:100]), "certificate.key"),
    "key of another certificate": ("tls/key.pem", other_key, "does not belong to the certificate"),
    "folder without anchors": ("anchors/more.pem", lambda file: file.unlink(), "is a folder without any"),
    "missing": ("tls/chain.pem", lambda file: file.unlink(), "does not exist"),
    "link to nowhere": ("tls/chain.pem", dangling, "does not exist"),
    "empty": ("cdn.pem", lambda file: file.write_bytes(b""), "the file is empty"),
    "FIFO": ("cdn.pem", fifo, "is a FIFO"),
    "folder": ("tls/key.pem", folder_instead, "is a folder"),
    "1 GB": ("cdn.pem", huge, "is larger than"),
    "1 GB of configuration": ("originward.yaml", huge, "is larger than"),
    "configuration that is a FIFO": ("originward.yaml", fifo, "is a FIFO"),
    "no configuration": ("originward.yaml", lambda file: file.unlink(), "does not exist"),
    "bad YAML": ("originward.yaml", lambda file: file.write_text("listen: ]\n"), "originward.yaml:1: not YAML"),
    "unknown key": ("originward.yaml", lambda file: file.write_text(file.read_text() + "odd: 1\n"), "odd: unknown key"),
    "not text": ("originward.yaml", lambda file: file.write_bytes(b"\xff\xfe\x00"), "not UTF-8"),
}
if os.geteuid():
    BROKEN["unreadable"] = ("cdn.pem", lambda file: file.chmod(0), "may not be read by this user")


def mend(file: Path, contents: bytes) -> None:
    """Put a file back as it was."""
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    file.write_bytes(contents)


@pytest.mark.parametrize(("name", "destroy", "words"), BROKEN.values(), ids=BROKEN)
def test_what_was_in_force_serves_on(here: Place, name: str, destroy: Callable[[Path], object], words: str) -> None:
    """For a client that is there and for a new one; repaired, the file is what it was."""
    file = here.folder / name
    contents = file.read_bytes()
    mark = here.proxy.mark()
    destroy(file)
    try:
        line = here.proxy.wait_for(
            lambda line: line["event"] == "reload.failed" and words in str(line["problems"]), mark
        )
        assert (line["level"], line["result"]) == ("error", "failed")
        assert here.client.get("/", ZONE).status == 200
        with TlsClient(here.proxy.port, ZONE, here.cdn.issue(Leaf(dns=("edge.example",)))).handshake() as client:
            assert client.get("/", ZONE).status == 200
        page = here.proxy.metrics()
        assert "originward_config_last_reload_successful 0.0" in page
        assert f"originward_config_generation {line['generation']}.0" in page
    finally:
        mark = here.proxy.mark()
        mend(file, contents)
    while "originward_config_last_reload_successful 1.0" not in here.proxy.metrics():
        assert here.proxy.process.poll() is None
