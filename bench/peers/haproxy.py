"""HAProxy: a bind with one certificate or a list of them, routes in a map file."""

from __future__ import annotations

import shutil
import signal
from typing import Final

from bench.peers.model import Order, Version, found, output
from bench.plan import Task
from bench.processes import Command
from bench.site import host_name, route_path

_CONFIG: Final = """\
global
  nbthread {workers}
  no strict-limits
  maxconn 12000
  {global_tickets}
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout client 600s
  timeout server 600s
  timeout connect 5s
frontend tls
  bind 127.0.0.1:{port} ssl crt {certificates} ca-file {anchor} verify required {crl} ssl-min-ver TLSv1.2 {tickets}
  http-request set-header X-Client-Subject %{{+Q}}[ssl_c_s_dn]
  http-request set-header X-Client-Fingerprint %[ssl_c_sha1,hex]
  option forwardfor
  {route}
backend app
  server origin 127.0.0.1:{origin} pool-max-conn 128
"""


class HAProxy:
    """Debian's HAProxy: one process, a thread for each worker."""

    package: str | None = "haproxy"
    reload_signal = signal.SIGUSR2

    def missing(self) -> bool:
        """Look on the path."""
        return shutil.which("haproxy") is None

    def install(self) -> None:
        """Do nothing: Debian's package does it."""

    def version(self) -> Version:
        """Both are in ``haproxy -vv``."""
        text = output("haproxy", "-vv")
        return Version(
            found(r"HAProxy version (\S+)", text), found(r"Running on OpenSSL version : (OpenSSL \S+)", text)
        )

    def can(self, task: Task) -> bool:
        """Say yes: it can do all of them."""
        del task
        return True

    def configure(self, order: Order) -> Command:
        """Write the configuration, the certificates' folder and the map of routes."""
        task, keys = order.task, order.keys
        config = _CONFIG.format(
            workers=task.workers, port=order.port, anchor=keys.anchor, origin=order.site.origin,
            certificates=keys.server(0) if task.hosts == 1 else _folder(order),
            crl=f"crl-file {keys.crl(task.crl, task.crls)}" if task.crl else "",
            tickets="" if task.tickets else "no-tls-tickets",
            global_tickets="" if task.tickets else "tune.ssl.cachesize 0",
            route=_route(order),
        )  # fmt: skip
        mode = "-W" if task.reloads else "-db"
        return Command(argv=("haproxy", mode, "-f", str(order.write("haproxy.cfg", config))), port=order.port)


def _folder(order: Order) -> str:
    listed = "".join(f"{order.keys.server(index)} {host_name(index)}\n" for index in range(order.task.hosts))
    return f"{order.keys.server(0)} crt-list {order.write('certificates', listed)}"


def _route(order: Order) -> str:
    if order.task.routes == 1:
        return "default_backend app"
    routes = order.task.routes
    rows = order.write("routes.map", "".join(f"{route_path(index, routes)} app\n" for index in range(routes)))
    return f"use_backend %[path,map_beg({rows})]"
