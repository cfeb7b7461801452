"""Caddy: one JSON document; GOMAXPROCS is the number of workers."""

from __future__ import annotations

import json
import shutil
import signal
from typing import Any

from bench.peers.model import Order, Version, found, output
from bench.plan import Task
from bench.processes import Command
from bench.site import route_path


class Caddy:
    """Debian's Caddy. It has no CRLs."""

    package: str | None = "caddy"
    reload_signal = signal.SIGUSR1

    def missing(self) -> bool:
        """Look on the path."""
        return shutil.which("caddy") is None

    def install(self) -> None:
        """Do nothing: Debian's package does it."""

    def version(self) -> Version:
        """Go's TLS comes with the compiler that built it."""
        compiler = found(r"go\s+go(\S+)", output("caddy", "build-info"))
        return Version(output("caddy", "version").split()[0], f"Go {compiler}")

    def can(self, task: Task) -> bool:
        """Everything but CRLs; further hosts and reloads are not configured here."""
        return not task.crl and task.hosts == 1 and not task.reloads

    def configure(self, order: Order) -> Command:
        """Write the document."""
        config = {
            "admin": {"disabled": True},
            "logging": {"logs": {"default": {"level": "ERROR"}}},
            "storage": {"module": "file_system", "root": str(order.folder)},
            "apps": {"http": {"servers": {"tls": _server(order)}}, "tls": _tls(order)},
        }
        path = order.write("caddy.json", json.dumps(config))
        home = {"HOME": str(order.folder), "XDG_DATA_HOME": str(order.folder), "XDG_CONFIG_HOME": str(order.folder)}
        environment = {"GOMAXPROCS": str(order.task.workers), **home}
        return Command(argv=("caddy", "run", "--config", str(path)), port=order.port, environment=environment)


def _tls(order: Order) -> dict[str, Any]:
    pem = str(order.keys.server(0))
    return {
        "certificates": {"load_files": [{"certificate": pem, "key": pem}]},
        "session_tickets": {"disabled": not order.task.tickets},
    }


def _server(order: Order) -> dict[str, Any]:
    clients = {"trusted_ca_certs_pem_files": [str(order.keys.anchor)], "mode": "require_and_verify"}
    return {
        "listen": [f"127.0.0.1:{order.port}"], "automatic_https": {"disable": True}, "protocols": ["h1"],
        "tls_connection_policies": [{"client_authentication": clients, "protocol_min": "tls1.2"}],
        "routes": [_route(route_path(index, order.task.routes), order) for index in range(order.task.routes)],
    }  # fmt: skip


def _route(path: str, order: Order) -> dict[str, Any]:
    identity = {
        "X-Client-Subject": ["{http.request.tls.client.subject}"],
        "X-Client-Fingerprint": ["{http.request.tls.client.fingerprint}"],
    }
    proxy = {
        "handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{order.site.origin}"}],
        "headers": {"request": {"set": identity}},
        "transport": {"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 128}},
    }  # fmt: skip
    return {"match": [{"path": [f"{path}*"]}], "handle": [proxy], "terminal": True}
