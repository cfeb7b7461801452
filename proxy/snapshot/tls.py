"""TLS contexts: one per host, and one without a certificate that every handshake starts on.

What a context fixes is what no handshake may loosen: TLS 1.2 and 1.3, ECDHE with AEAD ciphers, no renegotiation,
no compression and no resumption. A resumed session would carry an identity past the judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from OpenSSL import SSL

from proxy.decide.facts import Certificate
from proxy.decide.peer.windows import Window, last_change, next_change

CIPHERS_TLS13: Final = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
"""AES-128 first: as strong as the P-256 and X25519 keys around it, and the cheapest."""

CIPHERS_TLS12: Final = b"ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
GROUPS: Final = b"X25519MLKEM768:X25519:P-256:P-384"
ALPN_PROTOCOL: Final = b"http/1.1"

MODE_NO_AUTO_CHAIN: Final = 8
"""SSL_MODE_NO_AUTO_CHAIN: without it OpenSSL builds the server's own chain anew in every handshake."""

MODE_RELEASE_BUFFERS: Final = 16
"""SSL_MODE_RELEASE_BUFFERS: an idle connection keeps no record buffers (32 KiB less each)."""

MODE_PARTIAL_WRITE: Final = 1
"""SSL_MODE_ENABLE_PARTIAL_WRITE, which pyOpenSSL turns on: a write would stop silently after 16 KiB."""

MAX_CA_NAMES: Final = 16 * 1024
"""Octets of CA names in a certificate request. They help a client with several certificates to choose one; above this
they are left out (RFC 8446, section 4.2.4 allows that), as large requests fail in clients, and in OpenSSL itself."""

_OPTIONS: Final = SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE
_ALPN_OK: Final = 0
_ALPN_ALERT: Final = 2

_binding: Any = Binding()
_lib: Any = _binding.lib
_ffi: Any = _binding.ffi
_ALPN_ANSWER: Final = _ffi.new("unsigned char[]", ALPN_PROTOCOL)


def build_context(
    host: str, chain: tuple[Certificate, ...], key: PrivateKeyTypes, anchors: tuple[Certificate, ...]
) -> SSL.Context:
    """Make the context of a host: its certificate (leaf first) and key, and the names of its routes' anchors.

    Raises ValueError where OpenSSL refuses the certificate or the key.
    """
    context = _base_context()
    try:
        _present(context, chain, key)
    except SSL.Error as fault:
        raise ValueError(f"OpenSSL refuses the certificate or key of {host}: {_words(fault)}") from fault
    _name(context, anchors)
    return context


class HostContext:
    """The TLS context of a host at a given time: clients are told of the anchors whose windows are open.

    A client that holds certificates of the old authority and of the new one chooses by these names. Contexts are not to
    be changed once they are in use, so each change of the windows takes a new one, made when the first client asks.
    """

    __slots__ = ("__weakref__", "_build", "_context", "_since", "_until", "_windows")

    def __init__(self, build: Callable[[float], SSL.Context], windows: Iterable[Window] = ()) -> None:
        """Take what makes the context for a Unix time, and the windows of the anchors. Without any it is made here."""
        self._build = build
        self._windows = tuple(windows)
        self._context: SSL.Context | None = None
        self._since, self._until = inf, -inf
        if not self._windows:
            self.at(0.0)

    def at(self, now: float) -> SSL.Context:
        """Return the context at Unix time ``now``."""
        context = self._context
        if context is None or not self._since <= now < self._until:
            context = self._context = self._build(now)
            self._since, self._until = last_change(self._windows, now), next_change(self._windows, now)
        return context


def listener_context() -> SSL.Context:
    """Make the context that a connection starts on until its SNI is known.

    It leaves tickets to the server name callback, which turns them off for each connection. With OP_NO_TICKET from
    the start TLS 1.3 would still send two that no cache stands behind, for clients to keep and to offer in vain; the
    binding has no SSL_CTX_set_num_tickets. As none is ever issued, none can be taken.
    """
    return _context(_OPTIONS)


def _base_context() -> SSL.Context:
    """Make a host's context, still without certificate and anchors."""
    return _context(_OPTIONS | SSL.OP_NO_TICKET)


def _context(options: int) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(options)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(MODE_NO_AUTO_CHAIN | MODE_RELEASE_BUFFERS)
    context.clear_mode(MODE_PARTIAL_WRITE)
    context.set_cipher_list(CIPHERS_TLS12)
    context.set_tls13_ciphersuites(CIPHERS_TLS13)
    raw = context._context  # noqa: SLF001 - pyOpenSSL has no call for groups, nor for an ALPN refusal
    if _lib.SSL_CTX_set1_curves_list(raw, GROUPS) != 1:
        raise RuntimeError(f"this OpenSSL lacks one of the groups {GROUPS.decode()}")
    _lib.SSL_CTX_set_alpn_select_cb(raw, _select_alpn, _ffi.NULL)
    return context


def _present(context: SSL.Context, chain: tuple[Certificate, ...], key: PrivateKeyTypes) -> None:
    leaf, *rest = chain
    context.use_certificate(leaf.x509)
    for issuer in rest:
        context.add_extra_chain_cert(issuer.x509)
    context.use_privatekey(key)  # type: ignore[arg-type]  # checked by OpenSSL
    context.check_privatekey()


def _name(context: SSL.Context, anchors: tuple[Certificate, ...]) -> None:
    """Name the authorities whose certificates are asked for; the judges verify; OpenSSL's store stays empty."""
    named = {anchor.x509.subject.public_bytes(): anchor for anchor in anchors}
    if sum(map(len, named)) <= MAX_CA_NAMES:
        for anchor in named.values():
            context.add_client_ca(anchor.x509)


def offers_http11(offered: bytes) -> bool:
    """Tell whether an ALPN list (RFC 7301, section 3.1: length-prefixed names) holds ``http/1.1``."""
    position = 0
    while position < len(offered):
        end = position + 1 + offered[position]
        if offered[position + 1 : end] == ALPN_PROTOCOL:
            return True
        position = end
    return False


@_ffi.callback(  # type: ignore[untyped-decorator]  # cffi has no types
    "int(SSL *, unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *)", error=_ALPN_ALERT
)
def _select_alpn(_ssl: Any, out: Any, out_length: Any, offered: Any, length: int, _arg: Any) -> int:
    """Choose http/1.1, or refuse with no_application_protocol; an exception refuses too."""
    if not offers_http11(bytes(_ffi.buffer(offered, length))):
        return _ALPN_ALERT
    out[0] = _ALPN_ANSWER
    out_length[0] = len(ALPN_PROTOCOL)
    return _ALPN_OK


def _words(fault: SSL.Error) -> str:
    """Put OpenSSL's error queue into words."""
    entries = fault.args[0] if fault.args else []
    return "; ".join(str(entry[-1]) for entry in entries) or "no reason given"
