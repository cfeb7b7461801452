"""The demo: real requests over real TLS through the real proxy, and a table of what came of them."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from proxy.operate.demo.cases import CASES, FORGED, Case
from proxy.operate.demo.child import LogTail, StartError, running_proxy
from proxy.operate.demo.client import Alert, Answer, Broken, send
from proxy.operate.demo.origin import Origin
from proxy.operate.demo.stage import HOST, Ports, Stage, build_stage

Write = Callable[[str], None]

_HEADINGS: Final = ("", "request", "expected", "got", "reason logged")


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a case: the answer, the reason in the log, and what is wrong with them, if anything."""

    case: Case
    got: Answer | Alert | Broken
    logged: str
    fault: str | None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as the table shows it."""
        request = self.case.request
        host = f" (Host: {request.host})" if request.host else ""
        mark = "ok" if self.fault is None else "FAIL"
        return (mark, f"{self.case.title}: {request.path}{host}", str(self.case.expected), str(self.got), self.logged)


def run_demo(keep: bool, write: Write) -> int:
    """Run the demo and return the exit code: 0 where every row is as expected, else 1.

    ``write`` gets the lines to show. With ``keep`` everything stays up after the table until Ctrl-C or SIGTERM, and
    the folder stays for good.
    """
    folder = Path(tempfile.mkdtemp(prefix="originward-demo-"))
    try:
        with _sigterm_as_interrupt():
            return _run(folder, keep, write)
    except KeyboardInterrupt:
        write("interrupted")
        return 1
    except StartError as fault:
        write(str(fault))
        return 1
    finally:
        if keep:
            write(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


def _run(folder: Path, keep: bool, write: Write) -> int:
    with Origin() as origin:
        proxy_port, admin_port = free_ports(2)
        stage = build_stage(folder, Ports(proxy_port, admin_port, origin.port))
        write(f"PKI, configuration and log: {folder} ({'kept' if keep else 'until the end; --keep keeps it'})")
        with running_proxy(stage) as process:
            tail = LogTail(stage.log)
            rows = [_try(case, stage, tail) for case in CASES]
            for line in table(rows):
                write(line)
            if keep:
                _stay(stage, process, write)
    return 0 if all(row.fault is None for row in rows) else 1


def _try(case: Case, stage: Stage, tail: LogTail) -> Row:
    tail.skip()
    got = send(stage.target, case.request, stage.credentials[case.client] if case.client else None)
    line = tail.next_decision()
    logged = "(no line)" if line is None else str(line.get("reason") or "-")
    identity = stage.identities[case.seen_as] if case.seen_as else None
    return Row(case, got, logged, fault_of(case, got, logged, identity))


def fault_of(case: Case, got: Answer | Alert | Broken, logged: str, identity: str | None) -> str | None:
    """Say what is wrong with the outcome of a case, or None. ``identity`` is the Client-Cert that the app must see."""
    outcome = got.status if isinstance(got, Answer) else got
    if outcome != case.expected:
        return f"expected {case.expected}, got {got}"
    if logged != (case.reason or "-"):
        return f"expected the log to say {case.reason or '-'}, it says {logged}"
    if isinstance(got, Answer) and case.reason is None:
        return _fault_of_body(got.body, identity)
    return None


def _fault_of_body(body: bytes, identity: str | None) -> str | None:
    """Compare what the app saw with who the client is."""
    if FORGED.encode() in body:
        return "the app saw the forged identity"
    fields = json.loads(body)["headers"]
    seen = [value for name, value in fields if name.lower().replace("_", "-") == "client-cert"]
    wanted = [] if identity is None else [identity]
    return None if seen == wanted else f"the app saw Client-Cert {seen}, expected {wanted}"


def table(rows: list[Row]) -> Iterator[str]:
    """Yield the table's lines, what is wrong with each row below it, and the sum."""
    lines = [_HEADINGS, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    faults = [None, *(row.fault for row in rows)]
    for cells, fault in zip(lines, faults, strict=True):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        if fault is not None:
            yield f"      {fault}"
    good = faults.count(None) - 1
    yield f"{good} of {len(rows)} as expected"


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def _stay(stage: Stage, process: subprocess.Popen[bytes], write: Write) -> None:
    for line in curl_lines(stage):
        write(line)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        write("stopping")
    else:
        write(f"the proxy ended by itself with exit code {code}; see {stage.errors}")


def curl_lines(stage: Stage) -> Iterator[str]:
    """Yield commands to try on the stage, one for each kind of client."""
    port, folder = stage.target.port, stage.folder
    curl = f"curl -i --resolve {HOST}:{port}:127.0.0.1 --cacert {stage.target.ca_file}"
    url = f"https://{HOST}:{port}"
    yield ""
    yield "Everything stays up until Ctrl-C. Try:"
    for client, path in (("cdn", "/"), ("partner", "/partners/"), ("partner", "/internal/"), ("rogue", "/")):
        files = stage.credentials[client]
        yield f"  {curl} --cert {files.chain} --key {files.key} {url}{path}"
    yield f"  {curl} -H 'Client-Cert: :{FORGED}:' {url}/public/"
    yield f"  {curl} --path-as-is {url}/public/../internal/"
    yield f"  tail -f {stage.log}"
    command = own_command()
    yield f"  {command} check {stage.config}"
    yield f"  {command} explain {stage.config} --cert {folder}/partner/chain.pem --host {HOST} --path /internal/"


def own_command() -> str:
    """Return what starts this program in a shell: it need not be on the PATH."""
    script = Path(sys.argv[0])
    if script.name == "originward":
        return shlex.quote(str(script))
    return f"{shlex.quote(sys.executable)} -m proxy"


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, with everything cleaned up."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
