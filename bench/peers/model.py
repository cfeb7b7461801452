"""What a proxy under test has to be able to say of itself.

All are given the same: TLS 1.2 and 1.3 (the client chooses), a required client certificate that is verified up to the
root, the client's subject and (where the proxy has it) fingerprint in headers to the origin, kept connections to the
origin, no log of requests, one process or one thread for each worker.
"""

from __future__ import annotations

import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.plan import Task
from bench.processes import Command
from bench.site import Keys, Site


class InstallError(Exception):
    """What is missing, and how to get it."""


@dataclass(frozen=True)
class Version:
    """A proxy's version, and the library that does its TLS."""

    program: str
    tls: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """A task to be configured: for whom, where to, on which port. ``folder`` is the proxy's own."""

    task: Task
    site: Site
    folder: Path
    port: int

    @property
    def keys(self) -> Keys:
        """The PKI that the task asks for."""
        return self.site.keys(self.task.key)

    def write(self, name: str, text: str) -> Path:
        """Write a file into the proxy's folder."""
        path = self.folder / name
        path.write_text(text)
        return path


class Peer(Protocol):
    """A proxy under test. ``package`` is Debian's, None where ``install`` does it.

    ``reload_signal`` goes to its first process.
    """

    package: str | None
    reload_signal: signal.Signals

    def missing(self) -> bool:
        """Tell whether it has to be installed first."""

    def install(self) -> None:
        """Install it, where that is not Debian's business. Raises InstallError."""

    def version(self) -> Version:
        """Ask the program itself."""

    def can(self, task: Task) -> bool:
        """Tell whether it can do the task at all."""

    def configure(self, order: Order) -> Command:
        """Write the configuration; return how to start with it in the foreground."""


def output(*command: str) -> str:
    """Return all that a command prints."""
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return run.stdout


def found(pattern: str, text: str) -> str:
    """Return the first group of ``pattern`` in ``text``; raise where the program says something else."""
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"{pattern!r} is not in {text[:300]!r}")
    return match[1]
