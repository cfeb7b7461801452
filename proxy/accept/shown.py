"""What a client shows: its leaf and what it sent along, as seen from OpenSSL's verify callback.

The judges verify chains, and remember what they have verified; OpenSSL's own verification would do that work anew in
each handshake, and be a third of its cost. So it is given no anchors and looks for no issuers: it hands over what came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding

_binding: Any = Binding()
_lib: Any = _binding.lib
_ffi: Any = _binding.ffi

MAX_SHOWN: Final = 17
"""Certificates looked at, the leaf included: clients send two or three, and some a whole bundle."""

_SHA256: Final = _lib.EVP_get_digestbyname(b"sha256")
_LEAF: Final = 1
_SENT: Final = 2
_digest_buffer: Final = _ffi.new("unsigned char[32]")
_digest_size: Final = _ffi.new("unsigned int *")

Shown = tuple[list[bytes], Callable[[int], bytes]]
"""SHA-256 digests, leaf first, and what returns the DER to each place."""


def _sees_all() -> bool:
    """Tell whether this OpenSSL's X509_STORE_CTX begins with the store, the leaf, and all that the peer sent.

    The binding lacks X509_STORE_CTX_get0_untrusted. The fields have had these places for as long as there is the
    structure; should they ever move, this notices, as the structure is made by the library that is asked.
    """
    store, leaf, sent = _lib.X509_STORE_new(), _lib.X509_new(), _lib.sk_X509_new_null()
    context = _lib.X509_STORE_CTX_new()
    try:
        _lib.X509_STORE_CTX_init(context, store, leaf, sent)
        fields = _ffi.cast("void **", context)
        return bool(fields[0] == store and fields[_LEAF] == leaf and fields[_SENT] == sent)
    finally:
        _lib.X509_STORE_CTX_free(context)
        _lib.sk_X509_free(sent)
        _lib.X509_free(leaf)
        _lib.X509_STORE_free(store)


SEES_ALL: Final = _sees_all()
"""Whether the callback sees all that was sent. Else it sees the chain that OpenSSL makes of it, at more cost."""

VERIFY_DEPTH: Final = -2 if SEES_ALL else MAX_SHOWN
"""Certificates above a leaf, less one, that OpenSSL looks for: below -1 it looks for none and checks no signature."""


def shown(store: Any) -> Shown:
    """Return the certificates that a client showed, given the X509_STORE_CTX; ``der`` is for as long as that is."""
    return _all_sent(store) if SEES_ALL else _chain_of(store)


def _all_sent(store: Any) -> Shown:
    fields = _ffi.cast("void **", store)
    sent = _ffi.cast("Cryptography_STACK_OF_X509 *", fields[_SENT])
    if _lib.sk_X509_value(sent, 0) != fields[_LEAF]:
        raise RuntimeError("OpenSSL verifies another certificate than the first that was sent")
    certificates = [_lib.sk_X509_value(sent, index) for index in range(min(_lib.sk_X509_num(sent), MAX_SHOWN))]
    return [_digest(certificate) for certificate in certificates], lambda index: _der(certificates[index])


def _chain_of(store: Any) -> Shown:
    chain = _lib.X509_STORE_CTX_get1_chain(store)
    ders = []
    for index in range(_lib.sk_X509_num(chain)):
        certificate = _lib.sk_X509_value(chain, index)
        ders.append(_der(certificate))
        _lib.X509_free(certificate)
    _lib.sk_X509_free(chain)
    return [hashlib.sha256(der).digest() for der in ders[:MAX_SHOWN]], ders.__getitem__


def _digest(certificate: Any) -> bytes:
    if _lib.X509_digest(certificate, _SHA256, _digest_buffer, _digest_size) != 1:
        raise RuntimeError("OpenSSL cannot digest a certificate")
    return bytes(_ffi.buffer(_digest_buffer))


def _der(certificate: Any) -> bytes:
    target = _lib.BIO_new(_lib.BIO_s_mem())
    try:
        _lib.i2d_X509_bio(target, certificate)
        size = _lib.BIO_get_mem_data(target, _ffi.NULL)
        buffer = _ffi.new("char[]", size)
        _lib.BIO_read(target, buffer, size)
        return bytes(_ffi.buffer(buffer))
    finally:
        _lib.BIO_free(target)
