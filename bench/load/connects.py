"""New connections: full handshakes by several threads, each with one request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count as counter
from pathlib import Path
from typing import Final

from bench.load.client import Client, context
from bench.load.heads import Heads
from bench.load.loops import Outcome

AT_A_TIME: Final = 8
"""Handshakes under way: enough that the proxy never waits for the client."""


def handshakes(
    port: int, hosts: Sequence[tuple[str, Heads]], certificates: Sequence[Path], tls: str, count: int
) -> Outcome:
    """Make ``count`` connections, through hosts and certificates in turn; each makes one request and closes."""
    numbers = counter()
    before, start = time.process_time(), time.perf_counter()

    def work(_thread: int) -> None:
        while (number := next(numbers)) < count:
            host, heads = hosts[number % len(hosts)]
            certificate = certificates[number % len(certificates)]
            client = Client(port, host, context(certificate, tls))
            try:
                client.ask(heads.next())
            finally:
                client.close()

    with ThreadPoolExecutor(AT_A_TIME) as threads:
        list(threads.map(work, range(AT_A_TIME)))
    return Outcome(count=count, elapsed=time.perf_counter() - start, busy=time.process_time() - before)
