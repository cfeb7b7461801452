"""originward, with everything on: policy, CRLs (small ones where the task has none), metrics, the handshake log."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from bench.peers.model import InstallError, Order, Version
from bench.plan import Task
from bench.processes import Command
from bench.site import CLIENT, host_name, route_path
from proxy import __version__

ROOT: Final = Path(__file__).resolve().parents[2]
SMALL_CRL: Final = 100
"""Entries of the CRL that it has to look into even where the other proxies have none."""

BUILDS: Final = ROOT / "build" / "bench"
"""Where the compiled copy lies."""

CONNECTIONS: Final = 30_000


class Uncompiled:
    """This tree as it is, with the interpreter that runs the bench."""

    package: str | None = None
    reload_signal = signal.SIGHUP

    def tree(self) -> Path:
        """Return the folder with the ``proxy`` that is run."""
        return ROOT

    def missing(self) -> bool:
        """Say no: it is this tree."""
        return False

    def install(self) -> None:
        """Do nothing: it is this tree."""

    def version(self) -> Version:
        """Version and commit; the TLS library is the one inside the ``cryptography`` wheel."""
        from cryptography.hazmat.backends.openssl import backend  # noqa: PLC0415 - loads OpenSSL

        return Version(f"{__version__} ({commit()})", backend.openssl_version_text().rsplit(" ", 3)[0])

    def can(self, task: Task) -> bool:
        """Say yes: it can do all of them."""
        del task
        return True

    def configure(self, order: Order) -> Command:
        """Write one YAML file."""
        path = order.write("originward.yaml", yaml.dump(_config(order), Dumper=yaml.CSafeDumper, sort_keys=False))
        return Command(argv=(sys.executable, "-m", "proxy", "run", str(path)), port=order.port,
                       environment={"PYTHONPATH": str(self.tree()), "PYTHONSAFEPATH": "1"})  # fmt: skip


class Originward(Uncompiled):
    """A copy of this tree whose data path mypyc has compiled, as ``ORIGINWARD_COMPILE=1`` does at installation."""

    def tree(self) -> Path:
        """Return the copy for just these sources."""
        return BUILDS / _digest()

    def missing(self) -> bool:
        """Tell whether the copy has to be made: it is renamed into place when it is whole."""
        return not self.tree().exists()

    def install(self) -> None:
        """Copy and compile, a minute or two. Raises InstallError."""
        if importlib.util.find_spec("mypyc") is None:
            raise InstallError("mypyc is missing, which compiles originward: pip install -e '.[dev]'")
        tree = self.tree()
        shutil.rmtree(BUILDS, ignore_errors=True)
        draft = tree.with_suffix(".part")
        shutil.copytree(ROOT / "proxy", draft / "proxy", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        for name in ("setup.py", "pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, draft)
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        environment = {**os.environ, "ORIGINWARD_COMPILE": "1"}
        run = subprocess.run(command, cwd=draft, env=environment, capture_output=True, text=True, check=False)
        if run.returncode:
            raise InstallError(f"originward does not compile: {run.stderr[-2000:]}")
        draft.rename(tree)


def _digest() -> str:
    """Return a name for these sources and this interpreter."""
    files = sorted((ROOT / "proxy").rglob("*.py"))
    parts = [sys.version.encode(), *(file.read_bytes() for file in (*files, ROOT / "setup.py"))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def commit() -> str:
    """Return the commit that is measured, marked where the tree differs from it; "unknown" outside a repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


def _config(order: Order) -> dict[str, Any]:
    task, keys = order.task, order.keys
    config: dict[str, Any] = {
        "listen": [{"address": f"127.0.0.1:{order.port}"}],
        "trust": {"clients": {
            "anchors": [str(keys.anchor)],
            "revocation": {"check": "chain", "crl": {"sources": [str(keys.crl(task.crl or SMALL_CRL, task.crls))]}},
        }},
        "upstreams": {"app": {"servers": [f"http://127.0.0.1:{order.site.origin}"]}},
        "hosts": [_host(order, index) for index in range(task.hosts)],
        "log": {"target": "originward.log", "handshakes": "all", "requests": "errors"},
        "limits": {"connections": CONNECTIONS, "idle_timeout": "600s"},
        "admin": {"address": "127.0.0.1:0"},
    }  # fmt: skip
    return config if task.workers == 1 else {**config, "workers": task.workers}


def _host(order: Order, index: int) -> dict[str, Any]:
    pem = str(order.keys.server(index))
    routes = order.task.routes
    return {
        "names": [host_name(index)], "certificate": {"chain": pem, "key": pem},
        "routes": [{"path": route_path(number, routes), "trust": "clients", "policy": {"san_dns": [CLIENT]},
                    "upstream": "app", "identity_headers": ["xfcc"]} for number in range(routes)],
    }  # fmt: skip
