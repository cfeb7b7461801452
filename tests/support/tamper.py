"""A TLS client whose handshake messages are changed on the wire, in TLS 1.2 and under TLS 1.3's encryption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from tests.support.harness import TlsClient

CERTIFICATE: Final = 11
CERTIFICATE_VERIFY: Final = 15
"""Handshake types (RFC 8446, section 4)."""

_CHANGE_CIPHER_SPEC: Final = 20
_HANDSHAKE: Final = 22
_PROTECTED: Final = 23
_HEADER: Final = 5

Tamper = Callable[[bytes], bytes]


class TamperingClient(TlsClient):
    """Changes the handshake messages of one type before they go out.

    TLS 1.3 is understood with AES-128-GCM, which is what the proxy chooses; the key comes from the key log.
    """

    def __init__(self, *arguments: Any, kind: int, tamper: Tamper, **options: Any) -> None:
        self._kind = kind
        self._tamper = tamper
        self._secret = b""
        self._sequence = 0
        self._plain = True
        super().__init__(*arguments, prepare=lambda context: context.set_keylog_callback(self._learn), **options)

    def _learn(self, _connection: SSL.Connection, line: bytes) -> None:
        label, _, secret = line.split(b" ")
        if label == b"CLIENT_HANDSHAKE_TRAFFIC_SECRET":
            self._secret = bytes.fromhex(secret.decode())

    def _flush(self) -> None:
        while True:
            try:
                pending = self.tls.bio_read(65536)
            except SSL.WantReadError:
                return
            self.socket.sendall(b"".join(map(self._record, records(pending))))

    def _record(self, record: bytes) -> bytes:
        kind, version, body = record[0], record[1:3], record[_HEADER:]
        if kind == _CHANGE_CIPHER_SPEC:
            self._plain = False
        elif kind == _HANDSHAKE and self._plain:
            body = self._message(body)
        elif kind == _PROTECTED and self._secret:
            body = self._protected(record[:_HEADER], body)
        return bytes([kind]) + version + len(body).to_bytes(2) + body

    def _protected(self, header: bytes, body: bytes) -> bytes:
        """Decrypt, change and encrypt again a TLS 1.3 record (RFC 8446, section 5.2)."""
        cipher = AESGCM(_expand(self._secret, b"key", 16))
        nonce = int.from_bytes(_expand(self._secret, b"iv", 12)) ^ self._sequence
        self._sequence += 1
        inner = cipher.decrypt(nonce.to_bytes(12), body, header)
        if inner[-1] != _HANDSHAKE:
            return body
        inner = self._message(inner[:-1]) + inner[-1:]
        return cipher.encrypt(nonce.to_bytes(12), inner, header[:3] + (len(inner) + 16).to_bytes(2))

    def _message(self, message: bytes) -> bytes:
        return self._tamper(message) if message[0] == self._kind else message


def records(stream: bytes) -> list[bytes]:
    """Split whole TLS records."""
    found = []
    while stream:
        size = _HEADER + int.from_bytes(stream[3:_HEADER])
        found.append(stream[:size])
        stream = stream[size:]
    return found


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446, section 7.1) with an empty context."""
    label = b"tls13 " + label
    info = length.to_bytes(2) + bytes([len(label)]) + label + b"\0"
    return HKDFExpand(SHA256(), length, info).derive(secret)


def flip_last(message: bytes) -> bytes:
    """Change the last octet: of a CertificateVerify, its signature."""
    return message[:-1] + bytes([message[-1] ^ 1])


def garble(certificate: x509.Certificate) -> Tamper:
    """Put nonsense in the place of a certificate."""
    der = certificate.public_bytes(Encoding.DER)
    return lambda message: message.replace(der, b"\xa5" * len(der))


def replace_certificate(own: x509.Certificate, other: x509.Certificate) -> Tamper:
    """Put another certificate in the place of the client's own, in a message that holds nothing else."""
    mine, stolen = own.public_bytes(Encoding.DER), other.public_bytes(Encoding.DER)

    def tamper(message: bytes) -> bytes:
        grown = len(stolen) - len(mine)
        start = message.index(mine)
        body = bytearray(message.replace(mine, stolen))
        for place in (1, start - 6, start - 3):  # the lengths of the message, the list and the certificate
            length = int.from_bytes(body[place : place + 3]) + grown
            body[place : place + 3] = length.to_bytes(3)
        return bytes(body)

    return tamper
