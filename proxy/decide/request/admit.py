"""Admission of a request: the host that TLS chose, the route, and the permit that forwarding asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.decide.peer.chain import Peer
from proxy.decide.peer.verdicts import Verdicts
from proxy.decide.request.head import RequestHead
from proxy.decide.request.route import ClientCertificate, Host, HostTable, Route, normalise_host
from proxy.decide.text import quoted
from proxy.decide.verdict import Admitted, Pending, Reason, Refused, Verdict

_ANONYMOUS: Final = Admitted(None)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What lets a connection stay: the host that its server name leads to, and the verdict there."""

    host: Host
    verdict: Admitted | Pending


def admit_again(
    sni: str | None, peer: Peer | None, hosts: HostTable, verdicts: Verdicts, now: float
) -> Tenancy | Refused:
    """Judge an open connection at Unix time ``now`` as its handshake would be judged, from what it showed then.

    A verdict may be pending: whoever asks is to wait. Where no route of the host looks at certificates any more, nobody
    is refused for one.
    """
    host = hosts.find(sni)
    if host is None:
        asked = "without a server name" if sni is None else f"for {sni}"
        return Refused(Reason.UNKNOWN_HOST, f"no host for a connection {asked} any more, and no default host")
    if peer is None:
        detail = f"{host.name} asks for a client certificate, and none was shown"
        return Refused(Reason.NO_CERTIFICATE, detail) if host.requires else Tenancy(host, _ANONYMOUS)
    verdict = verdicts.judge_any(peer, host.gates, now) if host.gates else _ANONYMOUS
    return verdict if isinstance(verdict, Refused) else Tenancy(host, verdict)


def check_host(field: bytes, sni: str | None, host: Host, hosts: HostTable) -> Refused | None:
    """Hold the Host field against the name that TLS chose (RFC 9110, section 7.4: misdirected requests).

    ``sni`` is normalised, None where the client sent none; then Host has to lead to the same default host.
    """
    name = normalise_host(field.decode("latin-1"))
    if name is None:
        return Refused(Reason.BAD_REQUEST, f"Host {quoted(field)} is no host name")
    if sni is None:
        if hosts.find(name) is host:
            return None
        return Refused(Reason.HOST_MISMATCH, f"Host {quoted(field)} on a connection without SNI, for {host.name}")
    if name == sni:
        return None
    return Refused(Reason.HOST_MISMATCH, f"Host {quoted(field)} on a connection for {sni}")


def find_route(head: RequestHead, host: Host) -> Route | Refused:
    """Return the route of a request, which every reading of its path has to agree on."""
    paths = head.paths
    route = host.route(paths[0])
    if len(paths) > 1 and any(host.route(other) is not route for other in paths):
        detail = f"readings of {quoted(head.target)} lead to different routes of {host.name}"
        return Refused(Reason.AMBIGUOUS_PATH, detail)
    if route is None:
        return Refused(Reason.NO_ROUTE, f"no route of {host.name} covers {quoted(head.target)}")
    if any(host.misread(path, route) for path in paths) if len(paths) > 1 else host.misread(paths[0], route):
        detail = f"{quoted(head.target)} is on another route of {host.name} where upper and lower case are the same"
        return Refused(Reason.AMBIGUOUS_PATH, detail)
    return route


def permit(route: Route, peer: Peer | None, verdicts: Verdicts, now: float) -> Verdict:
    """Judge a client for one route at Unix time ``now``.

    A certificate that is shown on an optional route has to be admitted there: a wrong one is no better than none.
    """
    if route.gate is None:
        return _ANONYMOUS
    if peer is not None:
        return verdicts.judge(peer, route.gate, now)
    if route.client_certificate is ClientCertificate.OPTIONAL:
        return _ANONYMOUS
    return Refused(Reason.NO_CERTIFICATE, f"{route.path} asks for a client certificate, and none was shown")
