"""The handshake: OpenSSL asks, the judges answer, and a refusal carries the precise alert and its reason.

A host all of whose routes ask for a certificate insists on one. A certificate that no route of the host could admit
ends the handshake; one that some route could is judged again, for that route, with each request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from OpenSSL import SSL

from proxy.accept.peers import Facts
from proxy.accept.tls import LIBRARY_SSL, TlsError
from proxy.decide.facts import Certificate, MalformedCertificateError
from proxy.decide.peer.chain import Peer, peer_of
from proxy.decide.peer.verdicts import Verdicts
from proxy.decide.request.admit import admit_again
from proxy.decide.request.route import Host, HostTable, normalise_host
from proxy.decide.verdict import Admitted, Pending, Reason, Refused, Verdict
from proxy.snapshot.tls import HostContext

MAX_SPARE: Final = 4
"""Certificates that a client may show in vain and still be known: a root above the anchor, a cross-certificate. Of who
shows more only what was verified is kept."""

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
    Reason.UNSUPPORTED_EXTENSION: 34,  # certificate_unknown
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


class Handshake:
    """One handshake: what the client asked for, what it showed, and why it was refused, if it was."""

    __slots__ = ("_contexts", "_facts", "_hosts", "_now", "_verdicts", "_wider", "fault", "host",
                 "leaf", "peer", "refusal", "shown_sni", "sni", "verdict")  # fmt: skip

    def __init__(
        self, hosts: HostTable, contexts: Mapping[Host, HostContext], verdicts: Verdicts, facts: Facts,
        now: Callable[[], float],
    ) -> None:  # fmt: skip
        self._hosts = hosts
        self._contexts = contexts
        self._verdicts = verdicts
        self._facts = facts
        self._now = now
        self._wider: list[bytes] | None = None
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

    def judge(self, digests: list[bytes], der: Callable[[int], bytes]) -> int:
        """Let a client through that any route of the host admits, or may admit once an answer is there.

        Nobody is asked yet: the client has not proved that it holds the key.
        """
        if self.host is None:
            raise RuntimeError("a client certificate before a server name")
        try:
            verdict, peer = self._meet(digests, der, self.host)
        except MalformedCertificateError as fault:
            self.refusal = Refused(Reason.MALFORMED_CERTIFICATE, f"{fault} (leaf sha256:{digests[0].hex()})")
            return _X509_REJECTED
        if isinstance(verdict, Refused):
            self.refusal = verdict
            return X509_ERROR_BY_REASON.get(verdict.reason, _X509_REJECTED)
        self.peer = peer
        return 0

    def _meet(self, digests: list[bytes], der: Callable[[int], bytes], host: Host) -> tuple[Verdict, Peer]:
        """Judge who shows certificates; return also what the connection is to remember of them."""
        known = self._facts.known(digests)
        peer = known or self._facts.read(digests, der)
        self.leaf = peer.leaf
        if known is not None:
            return self._verdicts.judge_any(known, host.gates, self._now()), known
        verdict, verified = self._verdicts.judge_stranger(peer, host.gates, self._now())
        certificates = (peer.leaf, *peer.intermediates)
        spare = [cert for cert in certificates if cert.fingerprint not in verified]
        if not spare and len(digests) == 1 + len(peer.intermediates):  # none of them twice
            self._facts.keep(digests, peer)
        elif len(spare) <= MAX_SPARE:
            self._wider = digests
        elif peer.leaf not in spare:
            peer = peer_of(cert for cert in certificates if cert not in spare)
        return verdict, peer

    def failed(self, fault: BaseException) -> None:
        """Turn an exception of ours into a refusal."""
        self.fault = fault
        self.refusal = Refused(Reason.INTERNAL_ERROR, f"{type(fault).__name__}: {fault}")

    # --- afterwards

    def complete(self) -> None:
        """Take note that the client has proved that it holds the leaf's key."""
        if self._wider is not None and self.peer is not None:
            self._facts.keep_wider(self._wider, self.peer)

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
