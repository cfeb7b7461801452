"""``originward explain``: every step of the judgement of one client at one route, by the functions that judge live.

It needs no running proxy, and ``--at`` answers for another day: would this certificate be admitted next month?
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from proxy.accept.handshake import X509_ERROR_BY_REASON
from proxy.decide.facts import Certificate
from proxy.decide.peer.chain import Peer, peer_of
from proxy.decide.peer.gate import Gate, explain
from proxy.decide.peer.verdicts import Verdicts
from proxy.decide.request.admit import check_host, find_route, permit
from proxy.decide.request.answer import status_of
from proxy.decide.request.head import RequestHead, read_head
from proxy.decide.request.outgoing import render
from proxy.decide.request.route import Host, Route, normalise_host
from proxy.decide.request.stamp import stamp
from proxy.decide.text import printable
from proxy.decide.verdict import Admitted, Pending, Reason, Refused, Verdict
from proxy.operate.kept import Loaded, load_with_kept
from proxy.operate.saved_answers import Saved, read_saved, settle
from proxy.snapshot.credentials import CredentialError, read_certificates
from proxy.snapshot.files import FileError, read
from proxy.snapshot.model import Snapshot
from proxy.snapshot.problems import ConfigError, Problem

MAX_CHAIN_FILE: Final = 1 << 20
"""Octets of a chain file: a hundred certificates fit, and nothing that was given by mistake."""

MAX_GAP: Final = 1024
"""Characters of a CRL's address, and of why it is not there."""

EXAMPLE_CLIENT: Final = b"192.0.2.1"
"""RFC 5737: an address for examples stands where the client's would."""

_ALERTS: Final[Mapping[int, str]] = {
    7: "decrypt_error", 9: "bad_certificate", 10: "certificate_expired", 20: "unknown_ca", 22: "unknown_ca",
    23: "certificate_revoked", 26: "unsupported_certificate", 66: "bad_certificate",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks for what: a chain (leaf first; None: no certificate), a host name, a path; ``at`` in Unix seconds.

    ``saved`` are OCSP responses, for what a running proxy would ask responders.
    """

    chain: tuple[Certificate, ...] | None
    host: str
    path: str
    at: float
    saved: tuple[Saved, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One step: its name, whether it passed, what was asked or found, and the reason of a refusal."""

    step: str
    passed: bool
    detail: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer: every step, the route if one was found, and what the app would get.

    ``awaits`` is what a running proxy would ask for first; the answer is the one without it. ``lacks`` are addresses of
    CRLs of which nothing was kept, with why.
    """

    admitted: bool
    reason: str | None
    answer: str
    steps: tuple[Line, ...]
    route: str | None
    headers: tuple[str, ...]
    awaits: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


class Explainer:
    """Walks through a connection's decisions, writing down each one."""

    def __init__(self, snapshot: Snapshot, question: Question) -> None:
        self._snapshot = snapshot
        self._question = question
        self._peer: Peer | None = None if question.chain is None else peer_of(question.chain)
        self._verdicts = Verdicts(snapshot.config.limits.cached_verdicts)
        self._lines: list[Line] = []
        self._route: Route | None = None
        self._awaits: tuple[str, ...] = ()

    def run(self) -> Explanation:
        """Take the steps in the order of a live connection, up to the first that refuses."""
        name = normalise_host(self._question.host)
        host = self._snapshot.hosts.find(name)
        if host is None:
            refusal = Refused(Reason.UNKNOWN_HOST, f"no host is named {self._question.host!a}, and none is the default")
            return self._refused("host", refusal, "TLS alert unrecognized_name")
        self._pass("host", f"{host.name}{' (the default host)' if name not in host.names else ''}")
        refusal_and_alert = self._handshake(host)
        if refusal_and_alert is not None:
            return self._refused("handshake", *refusal_and_alert)
        return self._request(host, name)

    def _handshake(self, host: Host) -> tuple[Refused, str] | None:
        if not host.asks:
            self._pass("handshake", "no route of this host asks for a certificate, so none is requested")
            self._peer = None
            return None
        if self._peer is None:
            if host.requires:
                refusal = Refused(Reason.NO_CERTIFICATE, "every route of this host asks for a client certificate")
                return refusal, "TLS alert certificate_required"
            self._pass("handshake", "no certificate; some routes of this host do without")
            return None
        settle(self._question.saved, self._peer, host.gates, self._question.at)
        verdict = self._unanswered(self._verdicts.judge_any(self._peer, host.gates, self._question.at))
        if isinstance(verdict, Refused):
            for gate in host.gates:
                self._show_gate(self._peer, gate)
            alert = _ALERTS.get(X509_ERROR_BY_REASON.get(verdict.reason, 0), "bad_certificate")
            return verdict, f"TLS alert {alert}"
        bundle = verdict.identity.bundle if verdict.identity is not None else "none"
        self._pass("handshake", f"the certificate is good for at least one route of this host (bundle {bundle})")
        return None

    def _unanswered(self, verdict: Verdict) -> Admitted | Refused:
        """Go on as a running proxy does that gets no answer, and note what it would have asked."""
        if not isinstance(verdict, Pending):
            self._awaits = ()
            return verdict
        self._awaits = tuple(map(str, verdict.needs))
        return verdict.otherwise

    def _show_gate(self, peer: Peer, gate: Gate) -> None:
        """Write down every step at a gate, also those behind the first that fails."""
        for step in explain(peer, gate, self._question.at):
            refusal = step.refusal
            name = f"{gate.bundle.name}: {step.name}"
            if refusal is None:
                self._pass(name, step.asked)
            else:
                self._lines.append(Line(name, False, refusal.detail, refusal.reason.value))

    def _request(self, host: Host, name: str | None) -> Explanation:
        raw = b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (
            self._question.path.encode("utf-8", "surrogateescape"), self._question.host.encode("utf-8", "replace"),
        )  # fmt: skip
        head = read_head(raw, self._snapshot.config.limits.fields)
        if isinstance(head, Refused):
            return self._refused("head", head, _status(head))
        mismatch = check_host(head.host or b"", name, host, self._snapshot.hosts)
        if mismatch is not None:
            return self._refused("host field", mismatch, _status(mismatch))
        route = find_route(head, host)
        if isinstance(route, Refused):
            return self._refused("route", route, _status(route))
        self._route = route
        self._pass("route", f"{route.path} (client certificate {route.client_certificate}), upstream {route.upstream}")
        verdict = self._unanswered(permit(route, self._peer, self._verdicts, self._question.at))
        if route.gate is not None and self._peer is not None:
            self._show_gate(self._peer, route.gate)
        if isinstance(verdict, Refused):
            return self._refused("route policy", verdict, _status(verdict))
        return self._admitted(head, route, verdict)

    def _admitted(self, head: RequestHead, route: Route, verdict: Admitted) -> Explanation:
        identity = stamp(verdict.identity, route.families)
        sent = render(head, identity, EXAMPLE_CLIENT, b"example-1", admitted=verdict.identity is not None)
        headers = tuple(line.decode("latin-1") for line in sent.split(b"\r\n")[1:] if line)
        until = "" if verdict.identity is None else f", at most until {_moment(verdict.until)}"
        return Explanation(
            True, None, f"forwarded to {route.upstream}{until}", tuple(self._lines), route.path, headers, self._awaits
        )

    def _refused(self, step: str, refusal: Refused, answer: str) -> Explanation:
        self._lines.append(Line(step, False, refusal.detail, refusal.reason.value))
        route = None if self._route is None else self._route.path
        return Explanation(False, refusal.reason.value, answer, tuple(self._lines), route, (), self._awaits)

    def _pass(self, step: str, detail: str) -> None:
        self._lines.append(Line(step, True, detail))


def explain_command(
    path: Path, chain: Path | None, host: str, target: str, at: float, *, json: bool, write: Callable[[str], None],
    ocsp: Iterable[Path] = (),
) -> int:  # fmt: skip
    """Answer one question, as text or JSON; return 0 for admitted, 1 for refused.

    ``ocsp`` are files with OCSP responses. Raises ConfigError where the configuration or a file is bad.
    """
    question = Question(None if chain is None else read_chain(chain), host, target, at, read_saved(ocsp))
    explanation = explain_loaded(load_with_kept(path, at, os.environ), question)
    if json:
        write(msgspec.json.format(msgspec.json.encode(explanation), indent=2).decode())
    else:
        for line in as_text(explanation, question):
            write(line)
    return 0 if explanation.admitted else 1


def explain_loaded(loaded: Loaded, question: Question) -> Explanation:
    """Answer one question by a snapshot, and say which CRLs it lacks of the bundles that its host asks."""
    explanation = Explainer(loaded.snapshot, question).run()
    host = loaded.snapshot.hosts.find(normalise_host(question.host))
    asked = set() if host is None else {gate.bundle.name for gate in host.gates}
    lacks = tuple(f"{gap.url}: {gap.why}" for gap in loaded.gaps if gap.bundle in asked)
    return replace(explanation, lacks=lacks)


def read_chain(path: Path) -> tuple[Certificate, ...]:
    """Read a client's chain, leaf first. Raises ConfigError."""
    try:
        return read_certificates(read(path, MAX_CHAIN_FILE).data, beside_key=True)
    except FileError as fault:
        raise ConfigError([Problem(path, None, "", fault.words)]) from fault
    except CredentialError as fault:
        raise ConfigError([Problem(path, None, "", str(fault))]) from fault


def as_text(explanation: Explanation, question: Question) -> Iterator[str]:
    """Yield the answer as an operator reads it."""
    leaf = None if question.chain is None else question.chain[0]
    yield f"client  {'no certificate' if leaf is None else printable(leaf.subject)}"
    if leaf is not None:
        yield f"        sha256:{leaf.fingerprint}, valid {_moment(leaf.not_before)} to {_moment(leaf.not_after)}"
    yield f"asks    https://{printable(question.host)}{printable(question.path)} at {_moment(question.at)}"
    yield ""
    for line in explanation.steps:
        mark = "ok  " if line.passed else "FAIL"
        reason = f"{line.reason}: " if line.reason else ""
        yield f"  {mark}  {line.step:<24} {reason}{printable(line.detail)}"
    yield ""
    verdict = "ADMITTED" if explanation.admitted else f"REFUSED ({explanation.reason})"
    yield f"{verdict}  {explanation.answer}"
    if explanation.awaits:
        yield "that is without what a running proxy would ask for first (--ocsp takes a saved response):"
        yield from (f"  {printable(need)}" for need in explanation.awaits)
    if explanation.lacks:
        yield "that is without these CRLs:"
        yield from (f"  {printable(gap, MAX_GAP)}" for gap in explanation.lacks)
    if explanation.headers:
        yield "the app gets:"
        yield from (f"  {printable(header, 200)}" for header in explanation.headers)


def _status(refusal: Refused) -> str:
    return f"HTTP status {status_of(refusal.reason)}"


def _moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
