"""A proxy starts with all that it was told, or not at all; what it was allowed to loosen it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.__main__ import main
from tests.support.harness import RawOrigin, TlsClient, running
from tests.support.site import TLS, ZONE, document, optional, public, required, small_site, write_config, write_server


def _remove(file: Path) -> None:
    file.unlink()


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _garbage(file: Path) -> None:
    file.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _leaf(file: Path) -> None:
    file.write_bytes((file.parent / "tls" / "chain.pem").read_bytes())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_remove, "does not exist"),
        (_folder, "is a folder without any"),
        (_garbage, "cannot be parsed"),
        (_empty, "the file is empty"),
        (_leaf, "is no anchor"),
    ],
)
def test_an_unusable_authority_refuses_the_start(
    spoil: Callable[[Path], None], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and a message with the file and the key, and no falling back to the system's roots."""
    config, _ = small_site(tmp_path, 9)
    spoil(tmp_path / "cdn.pem")
    assert main(["run", str(config)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    assert "cdn.pem" in err
    assert "trust.cdn.anchors" in err


@pytest.mark.parametrize("section", [{"trust": {"cdn": {"anchors": []}}}, {"trust": {}}])
def test_a_bundle_without_anchors_refuses_the_start(
    section: dict[str, object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody is trusted by leaving something out."""
    config, _ = small_site(tmp_path, 9, **section)
    assert main(["run", str(config)]) == 2
    assert "trust" in capfd.readouterr().err


def test_a_port_that_is_taken_ends_the_start(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and the message names the address."""
    with RawOrigin() as taken:
        address = f"127.0.0.1:{taken.port}"
        config, _ = small_site(tmp_path, 9, listen=[{"address": address}])
        assert main(["run", str(config)]) == 2
    assert f"cannot listen on {address}: Address already in use" in capfd.readouterr().err


def test_each_loosening_is_a_warning_and_does_what_it_says(tmp_path: Path) -> None:
    """A default host, routes without certificates and a key that others can read, one line each; SNI may be missing."""
    write_server(tmp_path / "tls")
    (tmp_path / "tls" / "key.pem").chmod(0o644)
    small_site(tmp_path / "other", 9)
    with RawOrigin() as origin:
        hosts = [
            {"names": [ZONE], "default": True, "certificate": TLS, "routes": [public(), optional("/maybe/")]},
            {"names": [f"strict.{ZONE}"], "certificate": TLS, "routes": [required()]},
        ]
        trust = {"cdn": {"anchors": ["other/cdn.pem"]}}
        config = write_config(tmp_path, document(origin.port, hosts, trust=trust))
        with running(config) as proxy:
            details = [line["detail"] for line in proxy.lines if line["event"] == "warning"]
            assert all(line["level"] == "warning" for line in proxy.lines if line["event"] == "warning")
            for words in (
                "clients whose SNI is missing or unknown reach origin.test",
                "anybody reaches origin.test/ ",
                "a client without a certificate reaches origin.test/maybe/",
                "can be read by others",
            ):
                assert any(words in detail for detail in details), words
            assert proxy.lines[-1]["warnings"] == len(details)
            for sni in (None, "unknown.example", ZONE):
                with TlsClient(proxy.port, sni).handshake() as client:
                    assert client.get("/", sni or ZONE).status == 200
