"""Verdicts: the closed list of reasons, and the three values that a judgement can have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.decide.facts import Certificate
    from proxy.decide.peer.crl.evidence import Evidence
    from proxy.decide.peer.needs import Need
    from proxy.decide.peer.ocsp.evidence import OcspEvidence


class Reason(StrEnum):
    """Why a connection or a request was refused: one word for the log, the metrics and the tests."""

    # The client's certificate
    NO_CERTIFICATE = "no-certificate"
    UNTRUSTED_ISSUER = "untrusted-issuer"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_PURPOSE = "wrong-purpose"
    CHAIN_TOO_LONG = "chain-too-long"
    BAD_SIGNATURE = "bad-signature"
    MALFORMED_CERTIFICATE = "malformed-certificate"
    UNSUPPORTED_EXTENSION = "unsupported-extension"
    WEAK_KEY = "weak-key"
    CERTIFICATE_POLICY = "certificate-policy"
    # Revocation
    REVOKED = "revoked"
    CRL_STALE = "crl-stale"
    CRL_MISSING = "crl-missing"
    OCSP_UNKNOWN = "ocsp-unknown"
    OCSP_UNAVAILABLE = "ocsp-unavailable"
    # The route's policy
    NAME_NOT_ALLOWED = "name-not-allowed"
    ISSUER_NOT_ALLOWED = "issuer-not-allowed"
    PIN_MISMATCH = "pin-mismatch"
    LIFETIME_TOO_LONG = "lifetime-too-long"
    CONTRACT_ENDED = "contract-ended"
    KEY_NOT_ALLOWED = "key-not-allowed"
    # The handshake
    UNKNOWN_HOST = "unknown-host"
    PROTOCOL_VERSION = "protocol-version"
    NO_SHARED_CIPHER = "no-shared-cipher"
    NO_SHARED_PROTOCOL = "no-shared-protocol"
    NOT_TLS = "not-tls"
    BAD_HANDSHAKE = "bad-handshake"
    HANDSHAKE_TIMEOUT = "handshake-timeout"
    CLIENT_ABORTED = "client-aborted"
    RATE_LIMITED = "rate-limited"
    TOO_MANY_CONNECTIONS = "too-many-connections"
    # The request
    BAD_REQUEST = "bad-request"
    AMBIGUOUS_PATH = "ambiguous-path"
    HEAD_TOO_LARGE = "head-too-large"
    BODY_TOO_LARGE = "body-too-large"
    REQUEST_TIMEOUT = "request-timeout"
    HOST_MISMATCH = "host-mismatch"
    NO_ROUTE = "no-route"
    # The upstream
    UPSTREAM_UNAVAILABLE = "upstream-unavailable"
    UPSTREAM_BUSY = "upstream-busy"
    UPSTREAM_TIMEOUT = "upstream-timeout"
    UPSTREAM_PROTOCOL = "upstream-protocol"
    # Ourselves
    INTERNAL_ERROR = "internal-error"


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal and its cause.

    ``detail`` is for the operator only and never reaches a client. ``depth`` is the place in the chain that
    failed (0 is the leaf), where the chain was the cause. ``until`` is the Unix time in seconds up to which this
    verdict holds if nothing but the clock changes. ``revocation`` is what a refusal for revocation rests on.
    ``refresh`` is what should be asked for now, because an answer that this rests on grows old; nobody waits for it.
    """

    reason: Reason
    detail: str
    depth: int | None = None
    until: float = inf
    revocation: tuple[Evidence | OcspEvidence, ...] = ()
    refresh: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is: the verified leaf, and the chain that proved it, up to and including the anchor."""

    leaf: Certificate
    issuers: tuple[Certificate, ...]
    bundle: str

    @property
    def anchor(self) -> Certificate:
        """The end of the chain; a leaf can be one itself."""
        return self.issuers[-1] if self.issuers else self.leaf


@dataclass(frozen=True, slots=True)
class Admitted:
    """The permit that forwarding asks for; only the judges in ``decide`` make one.

    ``identity`` is None on a route that admits clients without a certificate. ``until`` is the Unix time in
    seconds at which the permit ends by itself (the first ``notAfter`` of the chain, a policy's end date, the end of
    a CRL, or the time to ask a responder again). ``revocation`` is what says that nobody in the chain is revoked.
    ``refresh`` is as in ``Refused``.
    """

    identity: Identity | None
    until: float = inf
    revocation: tuple[Evidence | OcspEvidence, ...] = ()
    refresh: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """No verdict yet: it depends on ``needs``. It is never remembered, and lets nothing through.

    ``otherwise`` is the verdict if none of them is met in time: what the bundle's settings say of unanswered
    questions.
    """

    needs: tuple[Need, ...]
    otherwise: Admitted | Refused

    def refuse(self) -> Refused:
        """Return the refusal for where nobody waits; an admission of ``otherwise`` takes waiting first."""
        first = self.needs[0]
        detail = f"awaited: {'; '.join(map(str, self.needs))}"
        return Refused(first.unmet, detail, first.depth, 0.0, self.otherwise.revocation)


Verdict = Admitted | Refused | Pending
