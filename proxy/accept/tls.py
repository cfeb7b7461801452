"""TLS over memory buffers: bytes in, bytes out, no socket.

pyOpenSSL makes the contexts; one session is driven through the same OpenSSL by the public binding of
``cryptography``, because the verify callback has to name the alert, and because a call per record is what the data
path can afford. All calls are made from the event loop's thread, one at a time: OpenSSL's callbacks find their
handshake in ``_current``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

from proxy.accept.shown import VERIFY_DEPTH, shown
from proxy.accept.spent import forget_chains

_binding: Any = Binding()
lib: Any = _binding.lib
ffi: Any = _binding.ffi

BUFFER: Final = 256 * 1024 + 32 * 1024
"""Octets of the two buffers that all sessions share: what uvloop reads at once, a record that had begun before, and
the records' overhead."""

BULKY: Final = 16 * 1024
"""Octets in one call beyond which OpenSSL's memory buffers have grown, and are worth giving back."""

_UNSPECIFIED: Final = 1  # X509_V_ERR_UNSPECIFIED
_VERIFY_NONE: Final = 0
_VERIFY_PEER: Final = 1
_VERIFY_FAIL_IF_NO_PEER_CERT: Final = 2
_ERROR_WANT_READ: Final = 2
_ERROR_WANT_WRITE: Final = 3
_ERROR_ZERO_RETURN: Final = 6
_LIBRARY_SHIFT: Final = 23  # ERR_GET_LIB, a macro that the binding leaves out
_LIBRARY_MASK: Final = 0xFF
LIBRARY_SSL: Final = 20
_FIRST_COMMON: Final = 0x80000
"""Reasons from here on (ERR_RFLAG_COMMON) only name the library that failed, such as ``ASN1 lib``."""

_NO_TICKET: Final = lib.SSL_OP_NO_TICKET
_SNI_HOST_NAME: Final = 0
_SNI_OK: Final = 0
_SNI_ALERT: Final = 2

# What the data path calls, bound once: looking a name up in the binding costs as much as some of these calls.
_BIO_write: Final = lib.BIO_write
_BIO_read: Final = lib.BIO_read
_BIO_waiting: Final = lib.BIO_get_mem_data
_SSL_read: Final = lib.SSL_read
_SSL_write: Final = lib.SSL_write
_unpack: Final = ffi.unpack
_NULL: Final = ffi.NULL

_input: Final = ffi.new("char[]", BUFFER)
_output: Final = ffi.new("char[]", BUFFER)
_RECORD_HEADER: Final = 5


class TlsError(Exception):
    """A TLS failure: OpenSSL's library and reason numbers, and its words for them."""

    def __init__(self, library: int, reason: int, text: str) -> None:
        super().__init__(text)
        self.library = library
        self.reason = reason


class Judge(Protocol):
    """Who decides in the middle of a handshake; an exception in any method ends it with a refusal."""

    def choose(self, sni: bytes | None) -> tuple[SSL.Context, bool, bool] | None:
        """Return (context, ask for a certificate, insist on one) for a server name, or None to refuse it."""

    def judge(self, digests: list[bytes], der: Callable[[int], bytes]) -> int:
        """Judge what a client shows, by its SHA-256 digests, leaf first; return 0 or an X509 error.

        Nothing has been verified yet, nor will anybody else verify it. ``der`` is to be called in here only.
        """

    def failed(self, fault: BaseException) -> None:
        """Take note of an exception in one of the above."""


_current: Judge
_verdict: int | None = _UNSPECIFIED
"""The judge's answer in the handshake that is under way, None until it was asked."""


class Session:
    """One TLS connection as a pair of byte streams."""

    __slots__ = ("_between_records", "_ssl", "_to_peer", "_to_us", "bulky", "closed_by_peer")

    def __init__(self, listener: ListenerContext) -> None:
        self._ssl = ffi.gc(lib.SSL_new(listener.raw), lib.SSL_free)
        self._renew_buffers()
        lib.SSL_set_accept_state(self._ssl)
        self.closed_by_peer = False
        self._between_records = False

    def _renew_buffers(self) -> None:
        """Give the peer's and our buffers back to the allocator; both must be empty."""
        self._to_us = lib.BIO_new(lib.BIO_s_mem())
        self._to_peer = lib.BIO_new(lib.BIO_s_mem())
        lib.SSL_set_bio(self._ssl, self._to_us, self._to_peer)
        self.bulky = False

    def handshake(self, data: bytes, judge: Judge) -> bool:
        """Take what the peer sent; return whether the handshake is complete. Raises TlsError where it failed.

        What is to be sent, an alert included, is in ``pending``.
        """
        global _current, _verdict  # noqa: PLW0603 - the one way to reach a Python object from OpenSSL's callbacks
        lib.BIO_write(self._to_us, data, len(data))
        _current, _verdict = judge, None
        result = lib.SSL_do_handshake(self._ssl)
        _verdict = _UNSPECIFIED  # whoever shows a certificate outside of a handshake is refused
        if result == 1:
            return True
        if lib.SSL_get_error(self._ssl, result) in (_ERROR_WANT_READ, _ERROR_WANT_WRITE):
            return False
        raise _take_error()

    def pending(self) -> bytes:
        """Take what is to be sent to the peer."""
        size = _BIO_read(self._to_peer, _output, BUFFER)
        if size <= 0:
            return b""
        if size < BUFFER:
            return _unpack(_output, size)  # type: ignore[no-any-return]
        return _unpack(_output, size) + self.pending()  # type: ignore[no-any-return]

    def read(self, data: bytes) -> bytes:
        """Take what the peer sent and return what it says in plain text. Raises TlsError.

        Sets ``closed_by_peer`` once its close_notify has come.
        """
        ssl, source = self._ssl, self._to_us
        size = len(data)
        if size > BULKY:
            self.bulky = True
        alone = self._between_records and _is_one_record(data)
        self._between_records = False
        _BIO_write(source, data, size)
        filled: int = _SSL_read(ssl, _input, BUFFER)
        if filled <= 0:
            self._check_read(filled)
            return b""
        while not alone and _BIO_waiting(source, _NULL):  # OpenSSL reads one record at a time, and keeps none back
            if filled == BUFFER:  # an upload that began while its verdict was pending
                return _unpack(_input, filled) + self.read(b"")  # type: ignore[no-any-return]
            size = _SSL_read(ssl, _input + filled, BUFFER - filled)
            if size <= 0:
                self._check_read(size)
                break
            filled += size
        else:
            self._between_records = True
        return _unpack(_input, filled)  # type: ignore[no-any-return]

    def _check_read(self, result: int) -> None:
        error = lib.SSL_get_error(self._ssl, result)
        if error == _ERROR_ZERO_RETURN:
            self.closed_by_peer = True
        elif error not in (_ERROR_WANT_READ, _ERROR_WANT_WRITE):
            raise _take_error()

    def write(self, data: bytes) -> bytes:
        """Return ``data`` as records for the peer. Raises TlsError."""
        size = len(data)
        if size > BULKY:
            self.bulky = True
        if not size:
            return b""
        written: int = _SSL_write(self._ssl, data, size)
        if written <= 0:
            raise _take_error()
        size = _BIO_read(self._to_peer, _output, BUFFER)
        if size < BUFFER:
            return _unpack(_output, size)  # type: ignore[no-any-return]
        return _unpack(_output, size) + self.pending()  # type: ignore[no-any-return]

    def write_into(self, room: Any, size: int, data: memoryview) -> int:
        """Put ``data`` as records into a place of ``size`` octets; return how many. Raises TlsError.

        Where it is full, ``pending`` has the rest.
        """
        self.bulky = True
        if _SSL_write(self._ssl, ffi.from_buffer(data), len(data)) <= 0:
            raise _take_error()
        return int(_BIO_read(self._to_peer, room, size))

    def close(self) -> bytes:
        """Return the close_notify for the peer."""
        lib.SSL_shutdown(self._ssl)
        lib.ERR_clear_error()
        return self.pending()

    def rest_buffers(self) -> None:
        """Shrink OpenSSL's buffers after a bulky transfer, or after the handshake."""
        if self.bulky and not lib.BIO_get_mem_data(self._to_us, ffi.NULL):
            self._renew_buffers()

    def forget_chains(self) -> None:
        """Free what the peer sent beside its leaf, once it is settled who it is."""
        forget_chains(self._ssl)

    def mark_bulky(self) -> None:
        """Ask for fresh buffers at the next ``rest_buffers``."""
        self.bulky = True

    @property
    def version(self) -> str:
        """The protocol version, such as ``TLSv1.3``."""
        return _text(lib.SSL_get_version(self._ssl))

    @property
    def cipher(self) -> str | None:
        """The cipher suite's name, once chosen."""
        cipher = lib.SSL_get_current_cipher(self._ssl)
        return None if cipher == ffi.NULL else _text(lib.SSL_CIPHER_get_name(cipher))

    @property
    def group(self) -> str | None:
        """The key exchange group's name, once chosen."""
        if lib.SSL_get_session(self._ssl) == ffi.NULL:
            return None  # OpenSSL would look for the name behind that pointer
        name = lib.SSL_get0_group_name(self._ssl)
        return None if name == ffi.NULL else _text(name)


class ListenerContext:
    """The context that handshakes start on: it knows no host until the client's SNI has come."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context  # keeps the raw pointer alive
        self.raw = context._context  # noqa: SLF001 - pyOpenSSL's own sessions are too large and too slow for us
        lib.SSL_CTX_set_verify_depth(self.raw, VERIFY_DEPTH)
        lib.SSL_CTX_set_tlsext_servername_callback(self.raw, _on_server_name)


def _is_one_record(data: bytes) -> bool:
    """Tell whether these octets, which begin with a record, are just that (RFC 8446, section 5.1)."""
    return len(data) > _RECORD_HEADER and len(data) - _RECORD_HEADER == data[3] << 8 | data[4]


def _take_error() -> TlsError:
    """Empty OpenSSL's error queue. Its first entry is the cause, unless TLS has a word of its own for it.

    A wrong signature is first of all a provider's failure; that it was the client's proof is said by TLS.
    """
    codes = []
    while code := lib.ERR_get_error():
        codes.append(code)
    if not codes:
        return TlsError(0, 0, "unexpected end of the TLS stream")
    cause = next((code for code in codes if _is_of_tls(code)), codes[0])
    words = lib.ERR_reason_error_string(cause)
    text = "no text" if words == ffi.NULL else _text(words)
    return TlsError(_library(cause), lib.ERR_GET_REASON(cause), text)


def _is_of_tls(code: int) -> bool:
    return _library(code) == LIBRARY_SSL and lib.ERR_GET_REASON(code) < _FIRST_COMMON


def _library(code: int) -> int:
    return code >> _LIBRARY_SHIFT & _LIBRARY_MASK


def _text(pointer: Any) -> str:
    return str(ffi.string(pointer).decode("latin-1"))


def _note(_kind: Any, fault: BaseException, _trace: Any) -> None:
    _current.failed(fault)


@ffi.callback("int(SSL *, int *, void *)", error=_SNI_ALERT, onerror=_note)  # type: ignore[untyped-decorator]
def _on_server_name(ssl: Any, _alert: Any, _arg: Any) -> int:
    """Switch to the host's context, or refuse with unrecognized_name (OpenSSL's default alert here)."""
    lib.SSL_set_options(ssl, _NO_TICKET)  # here, or TLS 1.3 sends some: see snapshot/tls.py
    name = lib.SSL_get_servername(ssl, _SNI_HOST_NAME)
    chosen = _current.choose(None if name == ffi.NULL else ffi.string(name))
    if chosen is None:
        return _SNI_ALERT
    context, asks, insists = chosen
    lib.SSL_set_SSL_CTX(ssl, context._context)  # noqa: SLF001
    mode = _VERIFY_NONE
    if asks:
        mode = _VERIFY_PEER | (_VERIFY_FAIL_IF_NO_PEER_CERT if insists else 0)
    lib.SSL_set_verify(ssl, mode, _on_verify)
    return _SNI_OK


@ffi.callback("int(int, X509_STORE_CTX *)", error=0, onerror=_note)  # type: ignore[untyped-decorator]
def _on_verify(_ok: int, store: Any) -> int:
    """Let the judge see what the client shows; its answer becomes OpenSSL's error, and so the alert.

    OpenSSL, which has nothing to verify with, calls this for each thing that it misses; the judge is asked once.
    """
    global _verdict  # noqa: PLW0603 - see ``Session.handshake``
    if _verdict is None:
        lib.X509_STORE_CTX_set_error(store, _UNSPECIFIED)  # what the peer is told if the judge fails: internal_error
        _verdict = _current.judge(*shown(store))
    lib.X509_STORE_CTX_set_error(store, _verdict)
    return 0 if _verdict else 1
