"""What a handshake leaves behind in OpenSSL, and nobody asks for again."""

from __future__ import annotations

from typing import Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding

_binding: Any = Binding()
_lib: Any = _binding.lib
_ffi: Any = _binding.ffi


def _count_of(stack: Any) -> Any:
    return _ffi.cast("int *", stack)


def _counts_first() -> bool:
    """Tell whether this OpenSSL's stacks begin with their count, as they have for as long as there are stacks."""
    stack, certificate = _lib.sk_X509_new_null(), _lib.X509_new()
    count = _count_of(stack)
    try:
        _lib.sk_X509_push(stack, certificate)
        _lib.sk_X509_push(stack, certificate)
        seen = count[0]
        count[0] = 1
        return bool(seen == 2 and _lib.sk_X509_num(stack) == 1)  # noqa: PLR2004 - as many as were pushed
    finally:
        _lib.sk_X509_free(stack)
        _lib.X509_free(certificate)


EMPTIES: Final = _counts_first()
"""Whether stacks can be emptied: the binding lacks sk_X509_pop, which lowers the count and no more."""


def forget_chains(ssl: Any) -> None:
    """Free the certificates beside the leaf, which a session keeps decoded to its end: 5 KB each."""
    for chain in (_lib.SSL_get0_verified_chain(ssl), _lib.SSL_get_peer_cert_chain(ssl)):
        if EMPTIES and chain != _ffi.NULL:
            certificates = [_lib.sk_X509_value(chain, index) for index in range(_lib.sk_X509_num(chain))]
            _count_of(chain)[0] = 0
            for certificate in certificates:
                _lib.X509_free(certificate)
