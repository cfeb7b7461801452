"""Files that are broken, in every way that one may be offered for a reload."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from proxy.operate.demo.pki import Authority, Leaf

HUGE: Final = 1 << 30


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


Broken = tuple[str, Callable[[Path], object], str]
"""Which file of a site, what becomes of it, and words of the problem that is logged."""

_KINDS: dict[str, Broken] = {
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
    _KINDS["unreadable"] = ("cdn.pem", lambda file: file.chmod(0), "may not be read by this user")

BROKEN: Final[Mapping[str, Broken]] = _KINDS
"""For a site whose bundle ``cdn`` has the anchors ``cdn.pem`` and ``anchors/``, where ``more.pem`` is the only one."""


def mend(file: Path, contents: bytes) -> None:
    """Put a file back as it was."""
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    file.write_bytes(contents)
