"""What is said at the start: what runs, who else is there, and what there is not enough of."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from OpenSSL import SSL

from proxy import __version__, connection
from proxy.observe.log import Log
from proxy.snapshot.crl_index import mapped_crls
from proxy.snapshot.limits import Limits
from proxy.supervise.listen import Listener, shared_with

OWN_DESCRIPTORS: Final = 64
"""Beside connections and mapped CRLs: listeners, the log, the admin page's clients, the event loop's own."""


def allow_descriptors(limits: Limits) -> Iterator[str]:
    """Raise the process's limit of open files as far as is needed and allowed; warn where that is not enough."""
    needed = 2 * limits.connections + OWN_DESCRIPTORS + mapped_crls()  # a client's, and one to the app
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        yield (
            f"the system allows {soft} open files, and limits.connections: {limits.connections} may need {needed}; "
            "raise the hard limit (LimitNOFILE= in systemd, ulimit -Hn), or lower limits.connections"
        )


def allow_more(limits: Limits, warned: set[int]) -> Iterator[str]:
    """Do the same for another generation; what was said for this limit of connections is not said again."""
    warnings = list(allow_descriptors(limits))
    if limits.connections not in warned:
        yield from warnings
    warned.add(limits.connections)


def find_neighbours(listeners: Sequence[Listener]) -> Iterator[str]:
    """Warn of others who listen on our addresses: an instance that is to be replaced, or one that nobody remembers."""
    shared = shared_with([sock for listener in listeners for sock in listener.sockets]) or frozenset()
    for listener in listeners:
        if listener.own and not shared.isdisjoint(listener.sockets):
            yield (
                f"another process listens on {listener.shown}, too, and gets its share of the connections; "
                "if it is the instance that this one replaces, stop it now"
            )


def announce(log: Log, listeners: Sequence[Listener], warnings: Sequence[str], **site: Any) -> None:
    """Say what runs and where, and each warning by itself; ``site`` is what is in force."""
    for warning in warnings:
        log.write("warning", level="warning", detail=warning)
    log.write(
        "started",
        version=__version__,
        python=sys.version.split()[0],
        compiled=not str(connection.__file__).endswith(".py"),
        openssl=SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode(),
        pid=os.getpid(),
        listen=[listener.shown for listener in listeners],
        **site,
        warnings=len(warnings),
    )
