"""The data path beside nginx: the same task, machine, keys and run; CPU of the proxy process, as ratios.

    .venv/bin/python bench/beside_nginx.py [--rounds 3] [--only requests,handshakes,idle,bulk]

Needs Debian's ``nginx``, ``apache2-utils`` (``ab``) and ``curl``. All traffic stays on the loopback interface, and
every load is bounded by a number of requests. ``ab`` counts a failed handshake as a completed request, so a run only
counts if every answer was a 200.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from OpenSSL import SSL, crypto

from proxy.operate.demo.pki import SERVER, Authority, Credential, Leaf

ROOT: Final = Path(__file__).resolve().parents[1]
HOST: Final = "localhost"
REQUESTS: Final = 60_000
HANDSHAKES: Final = 4_000
IDLE_CONNECTIONS: Final = 1_000
BULK_MEGABYTES: Final = 100
BULK_REPEATS: Final = 5
PATIENCE: Final = 15.0
TICKS: Final = os.sysconf("SC_CLK_TCK")

TARGETS: Final = {"requests": 1.35, "handshakes": 0.9, "bulk": 1.2}
"""At most this multiple of nginx's CPU for the same work."""

IDLE_TARGET: Final = 45.0
"""KB per idle connection."""

_APP: Final = """\
worker_processes 1; daemon off; pid {folder}/app.pid; error_log {folder}/app-error.log; master_process off;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 10000000; sendfile on;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}/www;
    location = /small {{ default_type text/plain; return 200 "ok\\n"; }} }}
}}
"""

_NGINX: Final = """\
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log; master_process off;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 10000000; proxy_buffering on; proxy_max_temp_file_size 0;
  upstream app {{ server 127.0.0.1:{app}; keepalive 128; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096; server_name {host};
    ssl_certificate {folder}/tls/chain.pem; ssl_certificate_key {folder}/tls/key.pem;
    ssl_client_certificate {folder}/client-ca.pem; ssl_verify_client on; ssl_verify_depth 4;
    ssl_protocols TLSv1.3; ssl_session_tickets off; ssl_session_cache off;
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""

_ORIGINWARD: Final = """\
listen: [{{address: "127.0.0.1:{port}"}}]
trust: {{clients: {{anchors: [client-ca.pem]}}}}
upstreams: {{app: {{servers: ["http://127.0.0.1:{app}"]}}}}
hosts:
  - names: [{host}]
    certificate: {{chain: tls/chain.pem, key: tls/key.pem}}
    routes:
      - {{path: /, trust: clients, policy: {{san_dns: [client.bench.test]}}, upstream: app, identity_headers: [nginx]}}
log: {{target: originward.log, handshakes: refused}}
admin: {{address: "127.0.0.1:0"}}
"""


@dataclass(frozen=True)
class Proxy:
    """A proxy under test: its name, port and process."""

    name: str
    port: int
    pid: int

    def cpu(self) -> float:
        """Return the CPU seconds that the process has used, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_kb(self) -> int:
        """Return the resident memory in KB."""
        match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        if match is None:
            raise RuntimeError(f"{self.name} has gone")
        return int(match[1])


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def process(command: list[str], port: int, **options: Any) -> Iterator[int]:
    """Run a server until the block ends; it is ready once ``port`` accepts."""
    child = subprocess.Popen(command, **options)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            if child.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {child.returncode}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield child.pid
    finally:
        child.terminate()
        child.wait(PATIENCE)


def make_site(folder: Path) -> Credential:
    """Write the PKI (3 certificates a side, ECDSA P-256) and the app's files; return the client's credential."""
    server_ca = Authority.root("Bench Server Root").intermediate("Bench Server CA")
    client_root = Authority.root("Bench Client Root")
    client = client_root.intermediate("Bench Client CA").issue(Leaf(subject="client", dns=("client.bench.test",)))
    server_ca.issue(Leaf(subject=HOST, dns=(HOST,), eku=SERVER)).write(folder / "tls")
    client_root.write(folder / "client-ca.pem")
    files = client.write(folder / "client")
    (folder / "client" / "both.pem").write_bytes(files.chain.read_bytes() + files.key.read_bytes())
    (folder / "www").mkdir()
    with (folder / "www" / "bulk").open("wb") as bulk:
        bulk.truncate(BULK_MEGABYTES * 1_000_000)
    folder.chmod(0o755)
    return client


@contextmanager
def stage(folder: Path) -> Iterator[list[Proxy]]:
    """Start the app and both proxies."""
    app, nginx, own = free_port(), free_port(), free_port()
    (folder / "app.conf").write_text(_APP.format(folder=folder, port=app))
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=nginx, app=app, host=HOST))
    (folder / "originward.yaml").write_text(_ORIGINWARD.format(port=own, app=app, host=HOST))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        stack.enter_context(process(["nginx", "-c", str(folder / "app.conf"), "-p", str(folder)], app))
        command = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
        nginx_pid = stack.enter_context(process(command, nginx))
        command = [sys.executable, "-m", "proxy", "run", str(folder / "originward.yaml")]
        own_pid = stack.enter_context(process(command, own, env=environment))
        yield [Proxy("nginx", nginx, nginx_pid), Proxy("originward", own, own_pid)]


def ab(folder: Path, proxy: Proxy, count: int, *options: str) -> float:
    """Send ``count`` requests with ab; return the proxy's CPU µs for each one. Raises if one of them failed."""
    before = proxy.cpu()
    run = subprocess.run(
        ["ab", "-q", "-n", str(count), "-E", str(folder / "client" / "both.pem"), "-f", "TLS1.3", *options,
         f"https://{HOST}:{proxy.port}/small"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    used = proxy.cpu() - before
    body = int(re.search(r"HTML transferred:\s+(\d+)", run.stdout)[1])  # type: ignore[index]
    if "Non-2xx" in run.stdout or body < count * len("ok\n") or "SSL" in run.stderr:
        raise RuntimeError(f"{proxy.name}: not every request was answered:\n{run.stdout}\n{run.stderr}")
    return used / count * 1e6


def requests(folder: Path, proxy: Proxy, _client: Credential) -> float:
    """CPU µs per keep-alive request, 32 connections."""
    return ab(folder, proxy, REQUESTS, "-k", "-c", "32")


def handshakes(folder: Path, proxy: Proxy, _client: Credential) -> float:
    """CPU µs per full handshake with one request, 8 connections at a time."""
    return ab(folder, proxy, HANDSHAKES, "-c", "8")


def bulk(folder: Path, proxy: Proxy, _client: Credential) -> float:
    """CPU ms per 100 MB response."""
    before = proxy.cpu()
    for _ in range(BULK_REPEATS):
        run = subprocess.run(
            ["curl", "-s", "-k", "--tlsv1.3", "--cert", str(folder / "client" / "chain.pem"), "--key",
             str(folder / "client" / "key.pem"), "-o", "/dev/null", "-w", "%{http_code} %{size_download}",
             f"https://{HOST}:{proxy.port}/bulk"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        if run.stdout != f"200 {BULK_MEGABYTES * 1_000_000}":
            raise RuntimeError(f"{proxy.name}: {run.stdout}")
    return (proxy.cpu() - before) / BULK_REPEATS * 1e3


def idle(folder: Path, proxy: Proxy, client: Credential) -> float:
    """KB of resident memory per idle connection, each of which has made one request."""
    handshakes(folder, proxy, client)  # warm: what is allocated once does not count
    before = proxy.rss_kb()
    with ExitStack() as stack:
        for _ in range(IDLE_CONNECTIONS):
            stack.callback(open_connection(proxy.port, client).close)
        return (proxy.rss_kb() - before) / IDLE_CONNECTIONS


def open_connection(port: int, client: Credential) -> socket.socket:
    """Open a connection, make one request on it, and leave it idle."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.use_certificate(crypto.X509.from_cryptography(client.certificate))
    for issuer in client.intermediates:
        context.add_extra_chain_cert(crypto.X509.from_cryptography(issuer))
    context.use_privatekey(crypto.PKey.from_cryptography_key(client.key))  # type: ignore[arg-type]
    raw = socket.create_connection(("127.0.0.1", port))
    tls = SSL.Connection(context, raw)
    tls.set_tlsext_host_name(HOST.encode())
    tls.set_connect_state()
    tls.do_handshake()
    tls.sendall(f"GET /small HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    if not tls.recv(4096).startswith(b"HTTP/1.1 200"):
        raise RuntimeError("an idle connection's request was refused")
    return raw


MEASURES: Final[dict[str, Callable[[Path, Proxy, Credential], float]]] = {
    "requests": requests, "handshakes": handshakes, "bulk": bulk, "idle": idle,
}  # fmt: skip


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; medians are shown (3)")
    parser.add_argument("--only", type=measures, default=list(MEASURES), help=f"some of {','.join(MEASURES)} (all)")
    parser.add_argument("--json", type=Path, help="write every figure to this file, too")
    return parser.parse_args()


def measures(text: str) -> list[str]:
    """Read names of measures, separated by commas."""
    names = text.split(",")
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not among {', '.join(MEASURES)}")
    return names


def main() -> int:
    """Measure in turn, round by round; print medians and ratios; exit 1 where a target is missed, 2 without tools."""
    options = arguments()
    missing = [tool for tool in ("nginx", "ab", "curl") if shutil.which(tool) is None]
    if missing:
        print(f"missing: {', '.join(missing)}; apt-get install nginx apache2-utils curl", file=sys.stderr)
        return 2
    wanted: list[str] = options.only
    results: dict[str, dict[str, list[float]]] = {name: {} for name in wanted}
    with tempfile.TemporaryDirectory(prefix="originward-bench-") as name:
        folder = Path(name)
        client = make_site(folder)
        for _ in range(options.rounds):
            with stage(folder) as proxies:
                for proxy in proxies:
                    ab(folder, proxy, 2_000, "-k", "-c", "32")  # warm
                for measure in wanted:
                    for proxy in proxies:
                        figures = results[measure].setdefault(proxy.name, [])
                        figures.append(MEASURES[measure](folder, proxy, client))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return report(results)


def report(results: dict[str, dict[str, list[float]]]) -> int:
    """Print one row per measure; return 1 where a target is missed."""
    missed = 0
    units = {"requests": "µs CPU", "handshakes": "µs CPU", "bulk": "ms CPU/100 MB", "idle": "KB/connection"}
    for measure, figures in results.items():
        medians = {name: statistics.median(values) for name, values in figures.items()}
        spread = ", ".join(f"{name} {min(v):.1f}..{max(v):.1f}" for name, v in figures.items())
        ratio = medians["originward"] / medians["nginx"]
        target = TARGETS.get(measure)
        good = medians["originward"] <= IDLE_TARGET if target is None else ratio <= target
        missed += not good
        aim = f"<= {IDLE_TARGET:g} KB" if target is None else f"<= {target:g} x"
        print(
            f"{measure:11s} nginx {medians['nginx']:8.1f}  originward {medians['originward']:8.1f} {units[measure]:14s}"
            f" = {ratio:5.2f} x  (target {aim}) {'ok' if good else 'MISSED'}   [{spread}]"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
