"""Installs the proxies: Debian's packages with apt-get, the others by their own ways."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from bench.peers import PEERS
from bench.peers.model import InstallError


def install(names: Sequence[str]) -> None:
    """Install what is missing of the named proxies. Raises InstallError where that takes somebody else's rights."""
    missing = [PEERS[name] for name in names if PEERS[name].missing()]
    packages = [peer.package for peer in missing if peer.package is not None]
    if packages:
        _apt(packages)
    for peer in missing:
        peer.install()


def _apt(packages: Sequence[str]) -> None:
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise InstallError(f"missing: {', '.join(packages)}; {' '.join(['sudo', *command])}")
    # Run level 1 keeps Debian from starting them as services, which would take port 80.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "-q"], check=True, env=environment)
    subprocess.run(command, check=True, env=environment)
