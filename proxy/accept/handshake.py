"""The handshake: OpenSSL asks, the judges answer, and a refusal carries the precise alert and its reason.

A host all of whose routes ask for a certificate insists on one. A certificate that no route of the host could admit
ends the handshake; one that some route could is judged again, for that route, with each request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from OpenSSL import SSL

from proxy.accept.tls import LIBRARY_SSL, Session, TlsError
from proxy.decide.facts import Certificate, MalformedCertificateError, read_certificate
from proxy.decide.peer.chain import Peer, name_closed_anchor, peer_of
from proxy.decide.peer.verdicts import Verdicts
from proxy.decide.peer.x509_errors import refusal_of
from proxy.decide.request.admit import admit_again
from proxy.decide.request.route import Host, HostTable, normalise_host
from proxy.decide.verdict import Admitted, Pending, Reason, Refused
from proxy.snapshot.tls import HostContext

MAX_CERTIFICATES: Final = 20_000
"""Certificates of verified chains that are kept parsed; the oldest goes first."""

MAX_SENT_ALONG: Final = 16
"""Certificates looked at beside a verified chain: clients send two or three, and some a whole bundle."""

_X509_REJECTED: Final = 28
X509_ERROR_BY_REASON: Final[Mapping[Reason, int]] = {
    Reason.UNTRUSTED_ISSUER: 20,  # unknown_ca
    Reason.EXPIRED: 10,  # certificate_expired
    Reason.NOT_YET_VALID: 9,  # bad_certificate
    Reason.WRONG_PURPOSE: 26,  # unsupported_certificate
    Reason.CHAIN_TOO_LONG: 22,  # unknown_ca
    Reason.BAD_SIGNATURE: 7,  # decrypt_error
    Reason.WEAK_KEY: 66,  # bad_certificate
    Reason.REVOKED: 23,  # certificate_revoked
    Reason.CERTIFICATE_POLICY: 43,  # certificate_unknown
}
"""The X509_V_ERR_* that OpenSSL turns into the alert; every other reason is 28, bad_certificate."""

REASON_BY_TLS_ERROR: Final[Mapping[int, Reason]] = {
    101: Reason.NO_SHARED_CIPHER,  # no suitable key share
    118: Reason.NO_SHARED_CIPHER,  # no suitable signature algorithm
    123: Reason.BAD_SIGNATURE,  # the proof that the client holds its key
    155: Reason.NOT_TLS,  # an HTTPS proxy request
    156: Reason.NOT_TLS,  # an HTTP request
    193: Reason.NO_SHARED_CIPHER,
    199: Reason.NO_CERTIFICATE,
    235: Reason.NO_SHARED_PROTOCOL,
    258: Reason.PROTOCOL_VERSION,  # unsupported
    267: Reason.PROTOCOL_VERSION,  # wrong version number
    396: Reason.PROTOCOL_VERSION,  # too low
    410: Reason.NO_SHARED_CIPHER,  # no shared groups
}
"""OpenSSL's SSL_R_* numbers (openssl/sslerr.h); what is not listed is ``bad-handshake``."""

_LIBRARY_ASN1: Final = 13
_LIBRARY_X509: Final = 11
_FIRST_ALERT: Final = 1000
"""SSL_R_* numbers from here on are alerts that the peer sent."""

_ALERTS_ABOUT_US: Final[Mapping[int, str]] = {
    42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 48: "unknown_ca",
}  # fmt: skip


class Facts:
    """The certificates of verified chains, parsed once and shared by all connections."""

    def __init__(self) -> None:
        self._known: dict[bytes, Certificate] = {}
        self._peers: dict[bytes, Peer] = {}

    def peer(self, digests: list[bytes], der: Callable[[int], bytes]) -> Peer:
        """Return the Peer of a verified chain, given the certificates' digests, leaf first.

        Raises MalformedCertificateError.
        """
        key = b"".join(digests)
        peer = self._peers.get(key)
        if peer is None:
            peer = peer_of(self._certificate(digest, der, index) for index, digest in enumerate(digests))
            if len(self._peers) >= MAX_CERTIFICATES:
                del self._peers[next(iter(self._peers))]
            self._peers[key] = peer
        return peer

    def widened(self, peer: Peer, digests: list[bytes], der: Callable[[int], bytes]) -> Peer:
        """Return ``peer`` with what else its client sent; a certificate that cannot be read leads nowhere.

        What nobody has verified is not kept: a client could send other ones with each connection.
        """
        held = (peer.leaf, *peer.intermediates)
        known = {certificate.fingerprint for certificate in held}
        more = []
        for index, digest in enumerate(digests[:MAX_SENT_ALONG]):
            if digest.hex() not in known:
                with suppress(MalformedCertificateError):
                    more.append(self._known.get(digest) or read_certificate(der(index)))
        return peer_of((*held, *more)) if more else peer

    def _certificate(self, digest: bytes, der: Callable[[int], bytes], index: int) -> Certificate:
        known = self._known.get(digest)
        if known is None:
            known = read_certificate(der(index))
            if len(self._known) >= MAX_CERTIFICATES:
                del self._known[next(iter(self._known))]
            self._known[digest] = known
        return known


class Handshake:
    """One handshake: what the client asked for, what it showed, and why it was refused, if it was."""

    __slots__ = ("_contexts", "_facts", "_hosts", "_now", "_verdicts", "fault", "host", "leaf", "peer", "refusal",
                 "shown_sni", "sni", "verdict")  # fmt: skip

    def __init__(
        self, hosts: HostTable, contexts: Mapping[Host, HostContext], verdicts: Verdicts, facts: Facts,
        now: Callable[[], float],
    ) -> None:  # fmt: skip
        self._hosts = hosts
        self._contexts = contexts
        self._verdicts = verdicts
        self._facts = facts
        self._now = now
        self.shown_sni: str | None = None
        self.sni: str | None = None
        self.host: Host | None = None
        self.peer: Peer | None = None
        self.leaf: Certificate | None = None
        self.refusal: Refused | None = None
        self.fault: BaseException | None = None
        self.verdict: Admitted | None = None

    # --- accept.tls.Judge

    def choose(self, sni: bytes | None) -> tuple[SSL.Context, bool, bool] | None:
        """Find the host of a server name (RFC 6066, section 3)."""
        if sni is not None:
            self.shown_sni = sni.decode("latin-1")
            if b":" not in sni:  # a server name has no port, other than a Host field
                self.sni = normalise_host(self.shown_sni)
        host = self._hosts.find(self.sni)
        if host is None:
            asked = "no server name" if sni is None else f"server name {self.shown_sni!a}"
            self.refusal = Refused(Reason.UNKNOWN_HOST, f"{asked}; no host of that name and no default host")
            return None
        self.host = host
        return self._contexts[host].at(self._now()), host.asks, host.requires

    def chain_failed(self, error: int, depth: int, text: str, failed: bytes, leaf: bytes) -> None:
        """Read the certificate that OpenSSL refused, for the log."""
        try:
            self.leaf = read_certificate(leaf)
            where = self.leaf if failed == leaf else read_certificate(failed)
        except MalformedCertificateError as fault:
            self.refusal = Refused(Reason.MALFORMED_CERTIFICATE, f"{text} at depth {depth}; {fault}", depth)
            return
        refusal = refusal_of(error, depth, text, where.subject, self.leaf)
        bundles = {gate.bundle: None for gate in self.host.gates} if self.host is not None else ()
        self.refusal = name_closed_anchor(refusal, where, bundles, self._now())

    def chain_built(self, digests: list[bytes], der: Callable[[int], bytes]) -> int:
        """Let a client through that any route of the host admits, or may admit once an answer is there.

        Nobody is asked yet: the client has not proved that it holds the key.
        """
        if self.host is None:
            raise RuntimeError("a client certificate before a server name")
        try:
            peer = self._facts.peer(digests, der)
        except MalformedCertificateError as fault:
            self.refusal = Refused(Reason.MALFORMED_CERTIFICATE, f"{fault} (leaf sha256:{digests[0].hex()})")
            return _X509_REJECTED
        self.leaf = peer.leaf
        verdict = self._verdicts.judge_any(peer, self.host.gates, self._now())
        if isinstance(verdict, Refused):
            self.refusal = verdict
            return X509_ERROR_BY_REASON.get(verdict.reason, _X509_REJECTED)
        self.peer = peer
        return 0

    def failed(self, fault: BaseException) -> None:
        """Turn an exception of ours into a refusal."""
        self.fault = fault
        self.refusal = Refused(Reason.INTERNAL_ERROR, f"{type(fault).__name__}: {fault}")

    # --- afterwards

    def complete(self, session: Session) -> None:
        """Keep what the client sent beside the chain that was built, where a route of the host may need it.

        OpenSSL ends a chain at the first anchor of any bundle; another bundle's may be further up.
        """
        if self.peer is None or self.host is None:
            return
        if len({gate.bundle for gate in self.host.gates}) > 1:
            self.peer = self._facts.widened(self.peer, *session.sent_along())

    def judge_again(self, hosts: HostTable, verdicts: Verdicts) -> Admitted | Pending | Refused:
        """Judge the client by what is in force now: a change may have come in the middle of the handshake.

        The TLS context, and so our certificate, stays the one that the handshake began with.
        """
        tenancy = admit_again(self.sni, self.peer, hosts, verdicts, self._now())
        if isinstance(tenancy, Refused):
            self.refusal = tenancy
            return tenancy
        self.host = tenancy.host
        return tenancy.verdict

    def refusal_of(self, error: TlsError) -> Refused:
        """Say why a handshake failed: by our verdict, or by TLS itself."""
        if self.refusal is not None:
            return self.refusal
        if error.library in (_LIBRARY_ASN1, _LIBRARY_X509):
            return Refused(Reason.MALFORMED_CERTIFICATE, f"the certificate message cannot be read: {error}")
        if error.library == 0:
            return Refused(Reason.CLIENT_ABORTED, str(error))
        if error.library != LIBRARY_SSL:
            return Refused(Reason.BAD_HANDSHAKE, f"{error} (error {error.reason} of OpenSSL's library {error.library})")
        if error.reason >= _FIRST_ALERT:
            return _client_alert(error.reason - _FIRST_ALERT, str(error))
        reason = REASON_BY_TLS_ERROR.get(error.reason, Reason.BAD_HANDSHAKE)
        return Refused(reason, f"{error} (TLS error {error.reason})")


def _client_alert(number: int, text: str) -> Refused:
    """Name the alert that the client sent; those about certificates mean that it does not trust *ours*."""
    named = _ALERTS_ABOUT_US.get(number)
    if named is not None:
        return Refused(Reason.CLIENT_ABORTED, f"the client refuses this server's certificate (alert {named})")
    return Refused(Reason.CLIENT_ABORTED, f"the client gave up: {text} (alert {number})")
