"""What builds and starts the program names things that exist."""

from __future__ import annotations

import re
import tomllib
from configparser import RawConfigParser
from pathlib import Path

import pytest

from proxy import __version__
from proxy.snapshot.limits import Limits

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COPIED = [source for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE) for source in line.split()]


@pytest.mark.parametrize("source", COPIED)
def test_every_copied_source_exists_and_is_sent_to_the_build(source: str) -> None:
    """The ignore file lets through what the image needs, and nothing else."""
    assert (ROOT / source).exists()
    assert f"!{source}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_image_starts_the_installed_command_as_nobody_special() -> None:
    """The entry point is the script that the project installs; the user is a number that is not root's."""
    assert re.findall(r'^ENTRYPOINT \["(\S+)"\]$', DOCKERFILE, re.MULTILINE) == list(PROJECT["scripts"])
    assert int(re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)[-1]) > 0


def test_the_health_check_is_valid_python_on_the_default_admin_address() -> None:
    """A slim image has no curl; a health check with a typing error would mark every container unhealthy."""
    code = re.findall(r'CMD \["python", "-c", "(.+)"\]$', DOCKERFILE, re.MULTILINE)
    assert len(code) == 1
    compile(code[0], "healthcheck", "exec")
    assert "ENV HEALTH_ADDRESS=127.0.0.1:9901" in DOCKERFILE


def test_the_version_stands_in_both_places() -> None:
    """``originward --version`` and the distribution say the same."""
    assert PROJECT["version"] == __version__


def test_the_unit_waits_longer_than_the_drain() -> None:
    """Systemd must not kill what is still finishing requests."""
    unit = RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "config" / "originward.service")
    assert unit.getint("Service", "TimeoutStopSec") > Limits().drain_timeout
    assert unit["Service"]["KillSignal"] == "SIGTERM"
    assert unit["Service"]["NoNewPrivileges"] == "yes"
    assert unit["Service"]["ExecStart"].split()[0].endswith(f"/bin/{next(iter(PROJECT['scripts']))}")


def test_what_is_compiled_exists() -> None:
    """A module that was moved must not silently stay uncompiled."""
    listed = re.findall(r'^    "(proxy/\S+\.py)",$', (ROOT / "setup.py").read_text(), re.MULTILINE)
    assert "proxy/connection.py" in listed
    assert [path for path in listed if not (ROOT / path).is_file()] == []
