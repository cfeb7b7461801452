"""One way, at least, to provoke each reason of a refused handshake, and the alert that its client then sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL

from proxy.accept.tls import lib
from proxy.decide.peer.chain import MAX_INTERMEDIATES
from proxy.decide.verdict import Reason
from proxy.operate.demo.pki import SERVER, Authority, Credential, Leaf, Window, rsa_key
from tests.support.forged import UNKNOWN_CRITICAL, UNREADABLE_NAME, signed_with_sha1, with_broken_signature
from tests.support.harness import TlsClient
from tests.support.site import Site
from tests.support.tamper import (
    CERTIFICATE,
    CERTIFICATE_VERIFY,
    TamperingClient,
    flip_last,
    garble,
    replace_certificate,
)

DAY: Final = timedelta(days=1)
_PREFIX: Final = re.compile(r"^(?:ssl/tls|tlsv13|tlsv1|tls) (?:alert )?")
"""What OpenSSL puts before an alert's name; it differs with the alert and its version."""

To = Mapping[str, Any]
Prepare = Callable[[SSL.Context], None]


@dataclass(frozen=True)
class Case:
    """How to be refused: the host, the client, what it sees in TLS 1.2 and 1.3, and a piece of the log's detail.

    ``client`` is given the site and how to connect (port, host, version, source address). ``shown`` says whether the
    client's certificate has to be in the log line.
    """

    name: str
    host: str | None
    client: Callable[[Site, To], TlsClient]
    alert: tuple[str | None, str | None]
    detail: str
    shown: bool = True


def alert_of(client: TlsClient) -> str | None:
    """Shake hands and read; return the alert that came back by its RFC 8446 name, None where there was none."""
    client.handshake()
    if client.error is None:
        client.read()
    return _PREFIX.sub("", client.error or "").replace(" ", "_") or None


def _plain(site: Site, to: To, credential: Credential | None, prepare: Prepare | None = None) -> TlsClient:
    return TlsClient(site.proxy.port, credential=credential, prepare=prepare, **to)


def _anonymous(site: Site, to: To, prepare: Prepare | None = None, **options: Any) -> TlsClient:
    return TlsClient(site.proxy.port, prepare=prepare, **to, **options)


def _of_cdn(site: Site, to: To, **leaf: Any) -> TlsClient:
    return _plain(site, to, site.cdn.issue(Leaf(subject="edge", **{"dns": ("other.example",), **leaf})))


def _revoked(site: Site, to: To) -> TlsClient:
    return _plain(site, to, next(site.revoked))


def _of_rogue(site: Site, to: To) -> TlsClient:
    return _plain(site, to, site.rogue.issue(Leaf(subject="rogue")))


def _of_namesake(site: Site, to: To) -> TlsClient:
    """Come from a CA of the same name but with another key; its identifier gives it away before its signature does."""
    return _plain(site, to, Authority.root(site.cdn.certificate.subject).issue(Leaf(subject="rogue")))


def _self_signed(site: Site, to: To) -> TlsClient:
    root = Authority.root("self-signed")
    return _plain(site, to, Credential(root.certificate, root.key, ()))


def _through(site: Site, to: To, authority: Authority) -> TlsClient:
    return _plain(site, to, authority.issue(Leaf(subject="far away")))


def _deep(site: Site, to: To) -> TlsClient:
    authority = site.cdn
    for level in range(MAX_INTERMEDIATES + 1):
        authority = authority.intermediate(f"level {level}")
    return _through(site, to, authority)


def _beyond_path_length(site: Site, to: To) -> TlsClient:
    return _through(site, to, site.cdn.intermediate("last", path_length=0).intermediate("one too many"))


def _one_intermediate(site: Site, to: To) -> TlsClient:
    return _through(site, to, site.cdn.intermediate("between"))


def _without_policy(site: Site, to: To) -> TlsClient:
    """Come from a CA that requires a certificate policy, with a leaf that has none."""
    return _through(site, to, site.cdn.intermediate("demanding", extra=((x509.PolicyConstraints(0, None), True),)))


def _small_rsa(site: Site, to: To) -> TlsClient:
    credential = site.cdn.issue(Leaf(subject="small", key=rsa_key(1024)))

    def prepare(context: SSL.Context) -> None:
        _anything_goes(context)
        context.use_certificate(credential.certificate)
        context.use_privatekey(credential.key)

    return _anonymous(site, to, prepare)


def _sha1(site: Site, to: To) -> TlsClient:
    old = site.cdn.intermediate("old CA", key=rsa_key())
    return _plain(site, to, signed_with_sha1(old, Leaf(subject="old")), _anything_goes)


def _anything_goes(context: SSL.Context) -> None:
    context.set_cipher_list(b"ALL:@SECLEVEL=0")


def _broken_signature(site: Site, to: To) -> TlsClient:
    return _plain(site, to, with_broken_signature(site.cdn.issue(Leaf(subject="altered"))))


def _flipped_proof(site: Site, to: To) -> TlsClient:
    credential = site.cdn.issue(Leaf(subject="edge"))
    return TamperingClient(site.proxy.port, credential=credential, kind=CERTIFICATE_VERIFY, tamper=flip_last, **to)


def _stolen(site: Site, to: To) -> TlsClient:
    own, victim = site.rogue.issue(Leaf(subject="thief")), site.cdn.issue(Leaf(subject="a victim with a longer name"))
    tamper = replace_certificate(own.certificate, victim.certificate)
    return TamperingClient(site.proxy.port, credential=own, kind=CERTIFICATE, tamper=tamper, **to)


def _garbage(site: Site, to: To) -> TlsClient:
    credential = site.cdn.issue(Leaf(subject="edge"))
    tamper = garble(credential.certificate)
    return TamperingClient(site.proxy.port, credential=credential, kind=CERTIFICATE, tamper=tamper, **to)


def _unknown_message(site: Site, to: To) -> TlsClient:
    credential = site.cdn.issue(Leaf(subject="edge"))
    return TamperingClient(
        site.proxy.port, credential=credential, kind=CERTIFICATE, tamper=lambda message: b"\x63" + message[1:], **to
    )


def _old_version(site: Site, to: To) -> TlsClient:
    def prepare(context: SSL.Context) -> None:
        _anything_goes(context)
        context.set_min_proto_version(SSL.TLS1_VERSION)
        context.set_max_proto_version(SSL.TLS1_1_VERSION)

    return _anonymous(site, {**to, "tls12": False}, prepare)


def _cbc(site: Site, to: To) -> TlsClient:
    return _anonymous(site, {**to, "tls12": True}, lambda context: context.set_cipher_list(b"ECDHE+AES128+SHA256"))


def _group(site: Site, to: To) -> TlsClient:
    return _anonymous(site, to, lambda context: lib.SSL_CTX_set1_curves_list(context._context, b"P-521"))


def _doubting(site: Site, to: To) -> TlsClient:
    def prepare(context: SSL.Context) -> None:
        context.set_verify(SSL.VERIFY_PEER, lambda *_arguments: False)

    return _anonymous(site, to, prepare)


_BAD = ("bad_certificate", "bad_certificate")
_UNKNOWN = ("unknown_ca", "unknown_ca")
_NONE = ("handshake_failure", "certificate_required")
_OTHER = ("certificate_unknown", "certificate_unknown")
_PAST = Window.around_now(30 * DAY, -DAY)
_FUTURE = Window.around_now(-DAY, 30 * DAY)

CASES: Final[Mapping[Reason, tuple[Case, ...]]] = {
    Reason.NO_CERTIFICATE: (
        Case("none", "required", _anonymous, _NONE, "did not return", shown=False),
    ),
    Reason.UNTRUSTED_ISSUER: (
        Case("rogue", "required", _of_rogue, _UNKNOWN, "local issuer"),
        Case("namesake", "required", _of_namesake, _UNKNOWN, "local issuer"),
        Case("self-signed", "required", _self_signed, _UNKNOWN, "self-signed"),
    ),
    Reason.EXPIRED: (
        Case("leaf", "required", partial(_of_cdn, window=_PAST), ("certificate_expired",) * 2, "expired"),
    ),
    Reason.NOT_YET_VALID: (Case("leaf", "required", partial(_of_cdn, window=_FUTURE), _BAD, "not yet valid"),),
    Reason.WRONG_PURPOSE: (
        Case("server", "required", partial(_of_cdn, eku=SERVER), ("unsupported_certificate",) * 2, "lacks clientAuth"),
        Case("absent", "strict", partial(_of_cdn, eku=None), ("unsupported_certificate",) * 2, "asks for one"),
    ),
    Reason.CHAIN_TOO_LONG: (
        Case("deep", "required", _deep, _UNKNOWN, ""),
        Case("path length", "required", _beyond_path_length, _UNKNOWN, "path length"),
        Case("max_chain", "chain", _one_intermediate, _UNKNOWN, "a chain of 3"),
    ),
    Reason.BAD_SIGNATURE: (
        Case("altered", "required", _broken_signature, ("decrypt_error",) * 2, "signature"),
        Case("proof", "required", _flipped_proof, ("decrypt_error",) * 2, "bad signature"),
        Case("stolen", "required", _stolen, ("decrypt_error",) * 2, "bad signature"),
    ),
    Reason.MALFORMED_CERTIFICATE: (
        Case("garbage", "required", _garbage, ("decode_error",) * 2, "cannot be read", shown=False),
        Case(
            "unreadable name", "required", partial(_of_cdn, dns=(), extra=((UNREADABLE_NAME, False),)), _BAD,
            "(leaf sha256:", shown=False,
        ),
    ),
    Reason.UNSUPPORTED_EXTENSION: (
        Case("critical", "required", partial(_of_cdn, extra=(UNKNOWN_CRITICAL,)), _OTHER, "critical"),
    ),
    Reason.REVOKED: (Case("listed", "listed", _revoked, ("certificate_revoked",) * 2, "says CRL 7 of CN=CDN CA"),),
    Reason.CRL_STALE: (Case("outdated", "outdated", _of_cdn, _BAD, "CRL 3 of CN=CDN CA"),),
    Reason.CRL_MISSING: (Case("unlisted", "unlisted", _of_cdn, _BAD, "no CRL of CN=CDN CA speaks of serial"),),
    Reason.OCSP_UNAVAILABLE: (Case("no responder", "unanswered", _of_cdn, _BAD, "names no OCSP responder"),),
    Reason.WEAK_KEY: (
        Case("RSA 1024", "required", _small_rsa, _BAD, "key RSA 1024"),
        Case("SHA-1", "required", _sha1, _BAD, ""),
    ),
    Reason.CERTIFICATE_POLICY: (Case("none", "required", _without_policy, _OTHER, "policy is required"),),
    Reason.NAME_NOT_ALLOWED: (Case("san_dns", "dns", _of_cdn, _BAD, "other.example"),),
    Reason.ISSUER_NOT_ALLOWED: (Case("issuer", "issuer", _of_cdn, _BAD, "CN=Another CA"),),
    Reason.PIN_MISMATCH: (Case("spki_pins", "pins", _of_cdn, _BAD, "public key"),),
    Reason.LIFETIME_TOO_LONG: (Case("max_lifetime", "lifetime", _of_cdn, _BAD, "issued for 30 days"),),
    Reason.CONTRACT_ENDED: (Case("not_after_limit", "contract", _of_cdn, _BAD, "2020-01-01"),),
    Reason.KEY_NOT_ALLOWED: (Case("key", "key", _of_cdn, _BAD, "RSA >= 3072"),),
    Reason.UNKNOWN_HOST: (
        Case("unknown", "nobody", _anonymous, ("unrecognized_name",) * 2, "'nobody.origin.test'", shown=False),
        Case("missing", None, _anonymous, ("unrecognized_name",) * 2, "no server name", shown=False),
    ),
    Reason.PROTOCOL_VERSION: (
        Case("TLS 1.1", "required", _old_version, ("protocol_version",) * 2, "unsupported protocol", shown=False),
    ),
    Reason.NO_SHARED_CIPHER: (
        Case("CBC", "required", _cbc, ("handshake_failure",) * 2, "no shared cipher", shown=False),
        Case("P-521", "required", _group, ("handshake_failure",) * 2, "", shown=False),
    ),
    Reason.NO_SHARED_PROTOCOL: (
        Case("h2", "required", partial(_anonymous, alpn=[b"h2"]), ("no_application_protocol",) * 2, "", shown=False),
    ),
    Reason.BAD_HANDSHAKE: (
        Case("unknown message", "required", _unknown_message, ("unexpected_message",) * 2, "", shown=False),
    ),
    Reason.CLIENT_ABORTED: (
        Case("doubt", "public", _doubting, (None, None), "refuses this server's certificate", shown=False),
    ),
}
"""What takes a TLS client of its own; the others are in the scenario that reads this table."""
