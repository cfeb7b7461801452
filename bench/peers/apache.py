"""Apache httpd with the event MPM: one process, whose threads wait for the origin each on its own."""

from __future__ import annotations

import shutil
import signal
from typing import Final

from bench.peers.model import Order, Version, found, output
from bench.plan import Task
from bench.processes import Command
from bench.site import HOST

_MODULES: Final = "/usr/lib/apache2/modules"
_LOADED: Final = ("mpm_event", "authz_core", "ssl", "proxy", "proxy_http", "headers")

_CONFIG: Final = """\
{modules}
ServerRoot {folder}
ServerName {host}
User www-data
Group www-data
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
LogLevel crit
Listen 127.0.0.1:{port}
ListenBacklog 4096
ServerLimit 1
StartServers 1
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
AsyncRequestWorkerFactor 200
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 600
RequestReadTimeout header=0 body=0
{cache}
<VirtualHost 127.0.0.1:{port}>
  SSLEngine on
  SSLProtocol -all +TLSv1.2 +TLSv1.3
  SSLCertificateFile {pem}
  SSLCACertificateFile {anchor}
  SSLVerifyClient require
  SSLVerifyDepth 4
  {tickets}
  {crl}
  SSLOptions +StdEnvVars
  RequestHeader set X-Client-Subject "%{{SSL_CLIENT_S_DN}}s"
  RequestHeader set X-Client-Serial "%{{SSL_CLIENT_M_SERIAL}}s"
  ProxyPreserveHost On
  ProxyPass / http://127.0.0.1:{origin}/ keepalive=On max=128 ttl=600
</VirtualHost>
"""


class Apache:
    """Debian's Apache. It has no variable with the certificate's fingerprint: the serial number goes instead."""

    package: str | None = "apache2"
    reload_signal = signal.SIGUSR1

    def missing(self) -> bool:
        """Look on the path."""
        return shutil.which("apache2") is None

    def install(self) -> None:
        """Do nothing: Debian's package does it."""

    def version(self) -> Version:
        """Ask for its version; the TLS library is the system's, which ``openssl`` names too."""
        return Version(
            found(r"Apache/(\S+)", output("apache2", "-v")), found(r"(OpenSSL \S+)", output("openssl", "version"))
        )

    def can(self, task: Task) -> bool:
        """Only the plain site is configured here."""
        return task.hosts == task.routes == task.workers == 1 and not task.reloads

    def configure(self, order: Order) -> Command:
        """Write one file that loads what it needs."""
        task, keys = order.task, order.keys
        modules = (*_LOADED, "reqtimeout")
        config = _CONFIG.format(
            modules="\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in modules),
            folder=order.folder, host=HOST, port=order.port, pem=keys.server(0), anchor=keys.anchor,
            origin=order.site.origin, tickets="" if task.tickets else "SSLSessionTickets off",
            cache="" if task.tickets else "SSLSessionCache none",
            crl=_crl(order) if task.crl else "",
        )  # fmt: skip
        path = order.write("apache.conf", config)
        return Command(argv=("apache2", "-f", str(path), "-DFOREGROUND"), port=order.port)


def _crl(order: Order) -> str:
    file = order.keys.crl(order.task.crl, order.task.crls)
    return f"SSLCARevocationFile {file}\n  SSLCARevocationCheck chain"
