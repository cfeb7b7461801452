"""Chains: from the leaf that a client proved to hold to an anchor of the route's bundle (RFC 5280, section 6.1).

OpenSSL builds and checks the path. What it does not check on its own is checked here by name: certificate policies,
key sizes, signature hashes, the purpose, and the length of the path.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from proxy.decide.facts import Certificate, MalformedCertificateError, read_certificate
from proxy.decide.peer.certificate_policies import check_certificate_policies
from proxy.decide.peer.windows import ALWAYS, Windows, closed_anchor, next_change
from proxy.decide.peer.x509_errors import MAX_SUBJECT, refusal_of, who
from proxy.decide.text import printable
from proxy.decide.verdict import Reason, Refused

if TYPE_CHECKING:
    from proxy.decide.peer.crl.settings import Revocation

_lib: Final[Any] = Binding().lib

MAX_INTERMEDIATES: Final = 4
"""Between leaf and anchor. Public PKIs use one or two; each one costs a signature check that a stranger can ask for."""

MIN_RSA_BITS: Final = 2048
"""NIST SP 800-57 part 1: less than 112 bits of security is not acceptable since 2014."""

STRONG_KINDS: Final = frozenset({"RSA", "EC", "Ed25519", "Ed448"})
STRONG_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
WEAK_HASHES: Final = frozenset({"md5", "sha1", "sha224"})
"""RFC 9155 for MD5 and SHA-1; SHA-224 gives the 112 bits that no CA of today signs with."""

CLIENT_AUTH: Final = ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string

STORE_FLAGS: Final = crypto.X509StoreFlags.PARTIAL_CHAIN
"""What every store is set to: each anchor ends a chain, be it a root or not.

Not ``POLICY_CHECK``: without a list of acceptable policies, which pyOpenSSL cannot set, OpenSSL accepts none, where the
RFC takes an absent list for any. See ``certificate_policies``, which the judges ask instead.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """What a client presented: its leaf, and the intermediates that may lead from it to an anchor.

    ``key`` identifies exactly these certificates in this order; verdicts are cached under it.
    """

    leaf: Certificate
    intermediates: tuple[Certificate, ...]
    key: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A named trust bundle: its anchors (roots or intermediates), and what it asks of every chain.

    Without ``revocation`` nobody asks whether a certificate was revoked. ``windows`` are of the anchors that do not
    always count.
    """

    name: str
    anchors: tuple[Certificate, ...]
    require_eku: bool = False
    revocation: Revocation | None = None
    windows: Windows = field(default_factory=lambda: MappingProxyType({}))
    _x509: tuple[crypto.X509, ...] = field(init=False, repr=False)
    _stores: dict[int, crypto.X509Store] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Hand the anchors to OpenSSL's parser once."""
        object.__setattr__(self, "_x509", tuple(crypto.X509.from_cryptography(anchor.x509) for anchor in self.anchors))

    def store_at(self, now: float) -> crypto.X509Store:
        """Return the store that OpenSSL looks anchors up in at Unix time ``now``.

        A store takes its first time only and silently keeps it (``X509_STORE_set1_param`` does not overwrite), so each
        is for one second: OpenSSL's times have no fractions. The last one is kept, as strangers may come in crowds.
        """
        second = int(now)
        store = self._stores.get(second)
        if store is None or self.windows:
            self._stores.clear()
            store = self._stores[second] = self._store(now, second)
        return store

    def _store(self, now: float, second: int) -> crypto.X509Store:
        store = crypto.X509Store()
        for anchor, x509 in zip(self.anchors, self._x509, strict=True):
            if self.windows.get(anchor.fingerprint, ALWAYS).holds(now):
                store.add_cert(x509)
        store.set_flags(STORE_FLAGS)
        store.set_time(datetime.fromtimestamp(second, UTC))
        return store

    def next_change(self, now: float) -> float:
        """Return the first Unix time after ``now`` at which other anchors count: every verdict ends there."""
        return next_change(self.windows.values(), now)


Path = tuple[Certificate, ...]
"""A verified path: leaf first and anchor last."""


def peer_of(chain: Iterable[Certificate]) -> Peer:
    """Make the Peer of a chain given leaf first."""
    leaf, *rest = chain
    return Peer(leaf, tuple(rest), b"".join(bytes.fromhex(c.fingerprint) for c in (leaf, *rest)))


def verify(peer: Peer, bundle: Bundle, now: float) -> Path | Refused:
    """Return the verified chain, or the refusal. ``now`` is in Unix seconds."""
    chain = build_path(peer, bundle, now)
    if isinstance(chain, Refused):
        return _named(chain, bundle)
    for check in (check_length, check_keys, check_hashes, check_purpose):
        refusal = check(chain)
        if refusal is not None:
            return refusal
    return check_eku_presence(chain[0], bundle) or chain


def _named(refusal: Refused, bundle: Bundle) -> Refused:
    """Say which bundle a chain does not lead to: a client that is trusted elsewhere is refused by this one."""
    if refusal.reason is not Reason.UNTRUSTED_ISSUER:
        return refusal
    return replace(refusal, detail=f"no path to an anchor of bundle {bundle.name}: {refusal.detail}")


def build_path(peer: Peer, bundle: Bundle, now: float) -> tuple[Certificate, ...] | Refused:
    """Return a path that is valid by RFC 5280, section 6.1, leaf first and anchor last, or the refusal.

    It is not yet a verdict: what the project asks beyond the RFC is asked by ``verify``. ``now`` is in Unix seconds.
    """
    path = _path_of_openssl(peer, bundle, now)
    return path if isinstance(path, Refused) else check_certificate_policies(path) or path


def _path_of_openssl(peer: Peer, bundle: Bundle, now: float) -> tuple[Certificate, ...] | Refused:
    try:
        built = _built_by_openssl(peer, bundle, now)
        known = {c.der: c for c in (peer.leaf, *peer.intermediates, *bundle.anchors)}
        return tuple(known.get(der) or read_certificate(der) for der in map(_der_of, built))
    except crypto.X509StoreContextError as fault:
        return _refusal_of_fault(fault, peer.leaf, bundle, now)
    except crypto.Error as fault:
        # OpenSSL is stricter than cryptography in places, such as the string types of a time.
        return Refused(Reason.MALFORMED_CERTIFICATE, printable(f"OpenSSL cannot read a certificate: {fault}"))
    except MalformedCertificateError as fault:
        return Refused(Reason.MALFORMED_CERTIFICATE, printable(str(fault)))
    finally:
        # A failed signature leaves its errors in this thread's queue, where the next connection would find them.
        _lib.ERR_clear_error()


def _built_by_openssl(peer: Peer, bundle: Bundle, now: float) -> list[crypto.X509]:
    leaf, untrusted = _for_openssl(peer)
    return crypto.X509StoreContext(bundle.store_at(now), leaf, untrusted).get_verified_chain()


def _for_openssl(peer: Peer) -> tuple[crypto.X509, list[crypto.X509]]:
    """Return a peer's certificates as OpenSSL takes them; the bundles of a host ask for the same ones in turn."""
    global _last  # noqa: PLW0603 - a memory of one
    if _last is None or _last[0] is not peer:
        untrusted = [crypto.X509.from_cryptography(cert.x509) for cert in peer.intermediates]
        _last = (peer, crypto.X509.from_cryptography(peer.leaf.x509), untrusted)
    return _last[1], _last[2]


_last: tuple[Peer, crypto.X509, list[crypto.X509]] | None = None


def _refusal_of_fault(
    fault: crypto.X509StoreContextError, leaf: Certificate, bundle: Bundle, now: float
) -> Refused:
    code, depth, text = fault.errors
    try:
        failed = read_certificate(_der_of(fault.certificate))
    except MalformedCertificateError:
        return refusal_of(code, depth, text, "a certificate that cannot be read", leaf)
    refusal = name_closed_anchor(refusal_of(code, depth, text, failed.subject, leaf), failed, (bundle,), now)
    return replace(refusal, until=failed.not_before) if refusal.reason is Reason.NOT_YET_VALID else refusal


def name_closed_anchor(refusal: Refused, failed: Certificate, bundles: Iterable[Bundle], now: float) -> Refused:
    """Say that an anchor is there whose window is closed, where that is why no path goes on from ``failed``."""
    if refusal.reason is not Reason.UNTRUSTED_ISSUER:
        return refusal
    for bundle in bundles:
        closed = closed_anchor(failed, bundle.anchors, bundle.windows, now)
        if closed is not None:
            return replace(refusal, detail=f"{closed}; {refusal.detail}")
    return refusal


def _der_of(cert: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, cert)


def check_length(chain: tuple[Certificate, ...]) -> Refused | None:
    """Bound the path between the leaf and its anchor."""
    intermediates = len(chain) - 2
    if intermediates <= MAX_INTERMEDIATES:
        return None
    detail = f"{intermediates} intermediates between leaf and anchor; at most {MAX_INTERMEDIATES} are followed"
    return Refused(Reason.CHAIN_TOO_LONG, detail, MAX_INTERMEDIATES + 1)


def check_keys(chain: tuple[Certificate, ...]) -> Refused | None:
    """Refuse keys below 112 bits of security, and kinds that TLS 1.3 has no signature for."""
    for depth, cert in enumerate(chain):
        key = cert.key
        weak = (
            key.kind not in STRONG_KINDS
            or (key.kind == "RSA" and key.bits < MIN_RSA_BITS)
            or (key.kind == "EC" and key.curve not in STRONG_CURVES)
        )
        if weak:
            detail = f"key {key} of {who(cert)}; RSA {MIN_RSA_BITS} or EC secp256r1 and up are accepted"
            return Refused(Reason.WEAK_KEY, detail, depth)
    return None


def check_hashes(chain: tuple[Certificate, ...]) -> Refused | None:
    """Refuse signatures over SHA-1 and older; the anchor's own signature proves nothing and is not looked at."""
    for depth, cert in enumerate(chain[:-1]):
        if cert.signature_hash in WEAK_HASHES:
            detail = f"{who(cert)} is signed with {cert.signature_hash}; SHA-256 and up are accepted"
            return Refused(Reason.WEAK_KEY, detail, depth)
    return None


def check_purpose(chain: tuple[Certificate, ...]) -> Refused | None:
    """Ask for clientAuth wherever an extended key usage is present, in every certificate below the anchor.

    A leaf that is an anchor itself is asked too. RFC 5280, section 4.2.1.12; on CA certificates it is a constraint,
    as every TLS library reads it. The key usage is what TLS signs with: RFC 8446, section 4.4.2.3.
    """
    leaf = chain[0]
    if not leaf.digital_signature:
        return Refused(Reason.WRONG_PURPOSE, f"key usage of {who(leaf)} lacks digitalSignature", 0)
    for depth, cert in enumerate(chain[:-1] or chain):
        if cert.eku is not None and CLIENT_AUTH not in cert.eku:
            has = printable(", ".join(sorted(cert.eku)), MAX_SUBJECT)
            detail = f"extended key usage of {who(cert)} lacks clientAuth (it has {has})"
            return Refused(Reason.WRONG_PURPOSE, detail, depth)
    return None


def check_eku_presence(leaf: Certificate, bundle: Bundle) -> Refused | None:
    """With ``require_eku`` a leaf without any extended key usage is refused too."""
    if not bundle.require_eku or leaf.eku is not None:
        return None
    detail = f"{who(leaf)} has no extended key usage; bundle {bundle.name} asks for one"
    return Refused(Reason.WRONG_PURPOSE, detail, 0)
