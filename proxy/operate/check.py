"""``originward check CONFIG``: load everything as ``run`` would, and show what it comes to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from proxy.decide.facts import Certificate
from proxy.decide.peer.chain import Bundle
from proxy.decide.peer.crl.evidence import moment
from proxy.decide.peer.crl.facts import Crl
from proxy.decide.peer.crl.settings import Revocation
from proxy.decide.request.route import Host, Route
from proxy.decide.text import printable
from proxy.operate.kept import Gap, load_with_kept
from proxy.snapshot.model import Snapshot

DAY: Final = 86400.0
MAX_WHY: Final = 512
"""Characters of why a CRL is not there."""

_INDENT: Final = "    "
_LABEL: Final = 20
"""Columns of a label: the longest, ``client certificate``, and a gap."""


def check(path: Path, now: float, write: Callable[[str], None]) -> int:
    """Load the configuration at ``path`` as of Unix time ``now`` and ``write`` its summary line by line; return 0.

    Raises ConfigError with every problem found, which the caller shows (exit code 2). Keys and their contents
    are never shown; text out of certificates is escaped. Of CRLs elsewhere it shows what a proxy has kept.
    """
    loaded = load_with_kept(path, now, os.environ)
    for line in summary(loaded.snapshot, path, now, loaded.gaps):
        write(line)
    return 0


def summary(snapshot: Snapshot, path: Path, now: float, gaps: Sequence[Gap] = ()) -> Iterator[str]:
    """Yield the lines of a snapshot's summary; ``path`` is the file that it was loaded from.

    ``gaps`` are the CRLs elsewhere of which nothing is at hand.
    """
    count = len(snapshot.warnings)
    noted = f"{count} warning{'s' * (count > 1)}, at the end" if count else "no warnings"
    yield f"{printable(str(path))} is good ({noted})"
    yield ""
    yield from _process(snapshot)
    for host in snapshot.hosts.hosts:
        yield ""
        yield from _host(host, snapshot, now)
    for bundle in snapshot.bundles.values():
        yield ""
        yield from _bundle(bundle, snapshot, now)
        yield from _gaps(bundle, gaps)
    if count:
        yield ""
        yield "warnings"
        yield from (_INDENT + warning for warning in snapshot.warnings)


def _process(snapshot: Snapshot) -> Iterator[str]:
    config = snapshot.config
    log = config.log
    target = "stdout" if log.target is None else printable(str(log.target))
    yield _line(0, "listen", ", ".join(str(listen.address) for listen in config.listen))
    yield _line(0, "admin", "off" if config.admin.address is None else str(config.admin.address))
    yield _line(0, "log", f"{target} (handshakes: {log.handshakes}, requests: {log.requests})")


def _host(host: Host, snapshot: Snapshot, now: float) -> Iterator[str]:
    yield f"host {host.name}"
    yield _line(1, "names", ", ".join(host.names))
    if host.is_default:
        yield _line(1, "default", "takes missing and unknown SNI")
    yield _line(1, "asks for", _asks(host))
    yield from _certificate("certificate", snapshot.certificates[host][0], now)
    for route in host.routes:
        yield from _route(route, snapshot)


def _asks(host: Host) -> str:
    if not host.asks:
        return "no certificate"
    where = "in the handshake" if host.requires else "at the route: some routes do without"
    return f"a client certificate; a client without one is refused {where}"


def _route(route: Route, snapshot: Snapshot) -> Iterator[str]:
    upstream = snapshot.upstreams[route.upstream]
    yield f"{_INDENT}route {printable(route.path)}"
    asked = str(route.client_certificate)
    if route.gate is not None:
        asked += f", to an anchor of {route.gate.bundle.name}"
    yield _line(2, "client certificate", asked)
    if route.gate is not None:
        rules = [f"{rule.key}: {rule}" for rule in route.gate.rules]
        yield from (_line(2, "and", printable(rule)) for rule in rules or ["nothing else: every client of the bundle"])
    yield _line(2, "upstream", f"{upstream.name} ({', '.join(printable(str(server)) for server in upstream.servers)})")
    yield _line(2, "identity headers", ", ".join(route.families) or "none")
    yield _line(2, "request body", "of any size" if route.max_body is None else f"at most {route.max_body} octets")


def _bundle(bundle: Bundle, snapshot: Snapshot, now: float) -> Iterator[str]:
    routes = [
        printable(f"{host.name}{route.path}")
        for host in snapshot.hosts.hosts
        for route in host.routes
        if route.gate is not None and route.gate.bundle is bundle
    ]
    yield f"bundle {bundle.name}"
    yield _line(1, "used by", ", ".join(routes) or "no route")
    if bundle.require_eku:
        yield _line(1, "require_eku", "a leaf without extended key usage is refused")
    for anchor in bundle.anchors:
        yield from _certificate("anchor", anchor, now)
        window = bundle.windows.get(anchor.fingerprint)
        if window is not None:
            yield _line(1, "", f"trusted {window}{'' if window.holds(now) else ', NOT NOW'}")
    if bundle.revocation is not None:
        yield _line(1, "revocation", str(bundle.revocation))
        for crl in bundle.revocation.crls.crls:
            yield from _crl(crl, bundle.revocation, now)


def _gaps(bundle: Bundle, gaps: Sequence[Gap]) -> Iterator[str]:
    for gap in gaps:
        if gap.bundle == bundle.name:
            yield _line(1, "crl", printable(gap.url))
            yield _line(1, "", printable(gap.why, MAX_WHY))


def _crl(crl: Crl, revocation: Revocation, now: float) -> Iterator[str]:
    """Show a CRL: what it is, whom it is by, its entries and its dates."""
    number = "without a number" if crl.number is None else str(crl.number)
    kind = "CRL" if crl.base is None else f"delta CRL (of {crl.base})"
    yield _line(1, "crl", printable(crl.source))
    fetched = "" if crl.fetched_at is None else f"; fetched {moment(crl.fetched_at)}"
    yield _line(1, "", f"{kind} {number} of {printable(crl.issuer)}; entries: {len(crl)}{fetched}")
    end = moment(crl.next_update)
    until = f"until {end}" if now <= crl.next_update else f"OUT OF DATE since {end}"
    replaced = "" if crl in revocation.crls.newest else "; replaced by a newer one"
    signer = "" if revocation.crls.is_checked(crl) else "; by an intermediate: its signature is checked with a chain"
    yield _line(1, "", f"from {moment(crl.this_update)} {until}{replaced}{signer}")


def _certificate(label: str, cert: Certificate, now: float) -> Iterator[str]:
    yield _line(1, label, printable(cert.subject) or "(no subject)")
    yield _line(1, "", f"sha256 {cert.fingerprint}")
    yield _line(1, "", f"{_validity(cert, now)}; key {cert.key}")


def _validity(cert: Certificate, now: float) -> str:
    """Say until when, in whole days; the last, incomplete one counts as 0."""
    if now < cert.not_before:
        return f"NOT VALID BEFORE {moment(cert.not_before)}"
    if now > cert.not_after:
        return f"EXPIRED on {moment(cert.not_after)}"
    return f"until {moment(cert.not_after)}, {int((cert.not_after - now) // DAY)} days left"


def _line(depth: int, label: str, text: str) -> str:
    return f"{_INDENT * depth}{label:<{_LABEL}}{text}"
