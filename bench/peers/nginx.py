"""nginx; also the origin behind all proxies, which answers from memory and by sendfile."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Final

from bench.peers.model import Order, Version, found, output
from bench.plan import KILOBYTE, Task
from bench.processes import Command
from bench.site import host_name, route_path

_FRAME: Final = """\
worker_processes {workers}; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; {master}
events {{ worker_connections 32768; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; client_max_body_size 0;
  server_names_hash_max_size 65536; server_names_hash_bucket_size 128;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{http}
}}
"""

_ORIGIN: Final = """\
  sendfile on; tcp_nopush on; open_file_cache max=100 inactive=600s;
  upstream itself {{ server 127.0.0.1:{port}; keepalive 8; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; root {www};
    location / {{ return 200 ""; }}
    location ~ /b1k$ {{ return 200 "{kilobyte}"; }}
    location ~ /(?<body>b16k|b1m|b100m)$ {{
      if ($request_method = PUT) {{ rewrite ^ /swallow last; }}
      try_files /$body =404;
    }}
    location = /swallow {{
      internal; client_body_buffer_size 101m; proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_set_header Connection ""; proxy_http_version 1.1; proxy_pass http://itself/;
    }}
  }}
"""

# A body that comes up is read whole before it is answered: an early answer would make the proxies stop sending.

_HTTP: Final = """\
  proxy_buffering on; proxy_max_temp_file_size 0; proxy_request_buffering off; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Client-Subject $ssl_client_s_dn; proxy_set_header X-Client-Fingerprint $ssl_client_fingerprint;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  upstream app {{ server 127.0.0.1:{origin}; keepalive 128; keepalive_requests 1000000000; }}
  ssl_client_certificate {anchor}; ssl_verify_client on; ssl_verify_depth 4; ssl_protocols TLSv1.2 TLSv1.3;
  {tickets} {crl}
{servers}
"""

_SERVER: Final = """\
  server {{ listen 127.0.0.1:{port} ssl {listen}; server_name {name};
    ssl_certificate {pem}; ssl_certificate_key {pem};
{locations}
  }}
"""


class Nginx:
    """Debian's nginx: one process without a master, more workers with one."""

    package: str | None = "nginx"
    reload_signal = signal.SIGHUP

    def missing(self) -> bool:
        """Look on the path."""
        return shutil.which("nginx") is None

    def install(self) -> None:
        """Do nothing: Debian's package does it."""

    def version(self) -> Version:
        """Both are in ``nginx -V``."""
        text = output("nginx", "-V")
        return Version(found(r"nginx/(\S+)", text), _library(text))

    def can(self, task: Task) -> bool:
        """Say yes: it can do all of them."""
        del task
        return True

    def configure(self, order: Order) -> Command:
        """Write one file; a large site has a server block for each host and a location for each route."""
        task, keys = order.task, order.keys
        servers = "".join(
            _SERVER.format(
                port=order.port, listen=_listen(task) if index == 0 else "", name=host_name(index),
                pem=keys.server(index), locations=_locations(task),
            )
            for index in range(task.hosts)
        )  # fmt: skip
        http = _HTTP.format(
            origin=order.site.origin, anchor=keys.anchor, servers=servers,
            tickets="" if task.tickets else "ssl_session_tickets off; ssl_session_cache off;",
            crl=f"ssl_crl {keys.crl(task.crl, task.crls)};" if task.crl else "",
        )  # fmt: skip
        return start(order.folder, order.port, http, task.workers, alone=not task.reloads and task.workers == 1)


def _listen(task: Task) -> str:
    return "backlog=4096" + (" reuseport" if task.workers > 1 else "")


def _library(text: str) -> str:
    running = "running with OpenSSL " in text
    return "OpenSSL " + found(r"running with OpenSSL (\S+)" if running else r"built with OpenSSL (\S+)", text)


def _locations(task: Task) -> str:
    return "\n".join(
        f"    location {route_path(index, task.routes)} {{ proxy_pass http://app; }}" for index in range(task.routes)
    )


def origin(folder: Path, www: Path, port: int) -> Command:
    """Return how to start the origin."""
    return start(folder, port, _ORIGIN.format(port=port, www=www, kilobyte="x" * KILOBYTE), 1, alone=True)


def start(folder: Path, port: int, http: str, workers: int, *, alone: bool) -> Command:
    """Write a configuration with these contents of ``http``; return how to start it."""
    master = "master_process off;" if alone else "user root;"
    (folder / "nginx.conf").write_text(_FRAME.format(folder=folder, http=http, workers=workers, master=master))
    return Command(argv=("nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)), port=port)
