"""``originward reload``: what each end of a reload, and each way not to reach the proxy, comes to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.__main__ import main
from tests.support.certificates import make_ca
from tests.support.furnish import pem
from tests.support.harness import PATIENCE, ProxyProcess, RawOrigin, running
from tests.support.site import small_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ProxyProcess]]:
    """Run a proxy that does not watch its files."""
    folder = tmp_path_factory.mktemp("site")
    with RawOrigin() as origin:
        config, _ = small_site(folder, origin.port, reload={"watch": False})
        with running(config) as proxy:
            yield config, proxy


def reload(config: Path, admin: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the command; return its status and what it says."""
    status = main(["reload", str(config), "--admin", admin])
    said = capsys.readouterr()
    return status, said.out + said.err


def test_each_end_has_its_status(site: tuple[Path, ProxyProcess], capsys: pytest.CaptureFixture[str]) -> None:
    """0 where the files are in force, 2 where one is bad, 1 where a good one cannot be put in force."""
    config, proxy = site
    admin = f"127.0.0.1:{proxy.admin_port}"
    text = config.read_text()
    generation = 1
    assert reload(config, admin, capsys) == (0, "nothing has changed: generation 1 stays in force\n")
    (config.parent / "cdn.pem").write_bytes(pem(make_ca("Other")))
    status, said = reload(config, admin, capsys)
    generation += 1
    assert (status, f"reloaded: generation {generation} is in force" in said) == (0, True)
    assert "    added    anchor cdn: CN=Other sha256:" in said
    (config.parent / "cdn.pem").write_bytes(b"x")
    status, said = reload(config, admin, capsys)
    assert (status, f"not reloaded: generation {generation} stays in force" in said) == (2, True)
    assert "trust.cdn.anchors[0]: " in said
    config.write_text(text.replace("127.0.0.1:0", "127.0.0.2:0"))
    (config.parent / "cdn.pem").write_bytes(pem(make_ca("Other")))
    status, said = reload(config, admin, capsys)
    assert status == 1
    assert "listen: ['127.0.0.1:0'] -> ['127.0.0.2:0'] takes a restart" in said
    config.write_text(text)


def test_a_configuration_that_leaves_the_port_open_needs_the_address(
    site: tuple[Path, ProxyProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    """The running proxy knows it; its log says it."""
    assert main(["reload", str(site[0])]) == 2
    assert "give it with --admin" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("section", "status", "words"), [("off", 1, "send the process SIGHUP"), ("127.0.0.1:1", 2, "no proxy answers at")]
)
def test_nobody_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, status: int, words: str
) -> None:
    """With what else to do."""
    config, _ = small_site(tmp_path, 9, admin={"address": section})
    assert main(["reload", str(config)]) == status
    said = capsys.readouterr()
    assert words in said.out + said.err


def test_a_bad_configuration_is_said_without_asking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no address in it to ask at."""
    config = tmp_path / "o.yaml"
    config.write_text("listen: ]")
    assert main(["reload", str(config)]) == 2
    assert f"{config}:1: not YAML" in capsys.readouterr().err


@contextmanager
def stranger(answer: bytes) -> Iterator[str]:
    """Be something else at the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(PATIENCE)


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (b"SSH-2.0-OpenSSH\r\n", 2, "is no originward"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", 1, "does not take the command (HTTP 404 nope)"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", 1, "does not take the command (HTTP 200"),
    ],
)
def test_somebody_else_there_is_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: bytes, status: int, words: str
) -> None:
    """Nothing that it says is taken for a reload."""
    config, _ = small_site(tmp_path, 9)
    with stranger(answer) as admin:
        found, said = reload(config, admin, capsys)
    assert (found, words in said) == (status, True)
