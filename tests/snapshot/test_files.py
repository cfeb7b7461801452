"""Files: what is read, and the sentence for everything that is not a readable file of a sensible size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.snapshot import files
from proxy.snapshot.files import FileError, certificates_in, read


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    """Up to the limit, inclusive."""
    file = tmp_path / "f"
    file.write_bytes(b"12345")
    assert read(file, 5).data == b"12345"


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    """By one octet."""
    file = tmp_path / "f"
    file.write_bytes(b"123456")
    with pytest.raises(FileError, match="is larger than 5 octets"):
        read(file, 5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "does not exist"),
        ("folder", "is a folder; a regular file is expected"),
        ("fifo", "is a FIFO"),
        ("loop", "cannot be read: Too many levels"),
        ("file/below", "cannot be read: Not a directory"),
        ("x" * 300, "cannot be read: File name too long"),
        ("a\0b", "cannot be read: .*embedded null"),
    ],
)
def test_what_is_no_regular_file_is_refused(tmp_path: Path, name: str, words: str) -> None:
    """At once, also where opening it would wait for ever."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileError, match=words) as caught:
        read(tmp_path / name, 5)
    assert str(caught.value) == f"{tmp_path / name} {caught.value.words}"


def test_a_device_is_refused() -> None:
    """/dev/zero would never end."""
    with pytest.raises(FileError, match="is a device"):
        read(Path("/dev/zero"), 5)


def test_a_file_that_may_not_be_read_says_who_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake of a service account; made by hand, for tests may run as root."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(FileError, match=f"may not be read by this user .uid {os.geteuid()}."):
        read(tmp_path / "f", 5)


@pytest.mark.parametrize(
    ("mode", "own", "shared"),
    [
        (0o600, True, False), (0o400, True, False), (0o640, True, True), (0o604, True, True),
        (0o640, False, False), (0o644, False, True),
    ],
)  # fmt: skip
def test_a_file_is_shared_where_more_can_read_it_than_need_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, own: bool, shared: bool
) -> None:
    """A service that reads root's file through its group needs that group's bit."""
    file = tmp_path / "f"
    file.touch()
    file.chmod(mode)
    me = os.geteuid()
    monkeypatch.setattr(files.os, "geteuid", lambda: me if own else me + 1)
    assert read(file, 5).shared is shared


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Neither by a good file nor by a bad one."""
    (tmp_path / "f").touch()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as many as there are
    read(tmp_path / "f", 5)
    with pytest.raises(FileError):
        read(tmp_path, 5)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_folder_stands_for_its_visible_certificate_files(tmp_path: Path) -> None:
    """As Kubernetes mounts it: ``..data`` is a link to a hidden folder, and the visible names are links through it."""
    (tmp_path / "..2027").mkdir()
    (tmp_path / "..data").symlink_to("..2027")
    for name in ("b.pem", "a.CRT", "c.der", "d.cer", "README", "key.key", "e.pem~"):
        (tmp_path / "..2027" / name).touch()
        (tmp_path / name).symlink_to(f"..data/{name}")
    (tmp_path / ".hidden.pem").touch()
    assert [file.name for file in certificates_in(tmp_path)] == ["a.CRT", "b.pem", "c.der", "d.cer"]


def test_a_file_stands_for_itself(tmp_path: Path) -> None:
    """Whatever its name; that it is missing is for the reading to say."""
    assert certificates_in(tmp_path / "cas") == (tmp_path / "cas",)


def test_a_folder_without_certificates_is_refused(tmp_path: Path) -> None:
    """An empty bundle is a mistake, never "trust nobody" in silence."""
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileError, match=r"a folder without any .cer, .crt, .der, .pem file"):
        certificates_in(tmp_path)


def test_a_folder_with_too_many_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the wrong folder."""
    monkeypatch.setattr(files, "MAX_FOLDER", 2)
    for number in range(3):
        (tmp_path / f"{number}.pem").touch()
    with pytest.raises(FileError, match="more than 2 certificate files"):
        certificates_in(tmp_path)
