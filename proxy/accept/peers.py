"""Peers: what clients showed, parsed once, and which of it is worth keeping."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from proxy.decide.bounded import put
from proxy.decide.facts import Certificate, MalformedCertificateError, read_certificate
from proxy.decide.peer.chain import Peer, peer_of

MAX_CERTIFICATES: Final = 20_000
"""Certificates of verified chains that are kept parsed, some 15 KB each; the oldest goes first."""

MAX_READ: Final = 32 * 1024
"""Octets of certificates that are read of a stranger, on the event loop: a chain takes two to six thousand."""

MAX_WIDER: Final = 1_000
"""Peers who show some in vain that are kept: 60 MB of what nobody has verified, at most."""


class Facts:
    """What clients showed that was verified, parsed once and shared by all connections."""

    def __init__(self) -> None:
        self._certificates: dict[bytes, Certificate] = {}
        self._peers: dict[bytes, Peer] = {}
        self._wider: dict[bytes, Peer] = {}

    def known(self, digests: list[bytes]) -> Peer | None:
        """Return the Peer who showed just these certificates before, leaf first; None for a stranger."""
        key = b"".join(digests)
        return self._peers.get(key) or self._wider.get(key)

    def read(self, digests: list[bytes], der: Callable[[int], bytes]) -> Peer:
        """Read what a stranger shows, up to MAX_READ octets; beside the leaf, what cannot be read leads nowhere.

        It is not kept: anybody can show other certificates with each connection. Raises MalformedCertificateError.
        """
        leaf = der(0)
        chain = [self._certificates.get(digests[0]) or read_certificate(leaf)]
        left = MAX_READ - len(leaf)
        for index, digest in enumerate(digests[1:], 1):
            octets = der(index)
            left -= len(octets)
            if left >= 0 and digest not in digests[:index]:
                with suppress(MalformedCertificateError):
                    chain.append(self._certificates.get(digest) or read_certificate(octets))
        return peer_of(chain)

    def keep(self, digests: list[bytes], peer: Peer) -> None:
        """Keep a peer all of whose certificates were verified."""
        put(self._peers, b"".join(digests), peer, MAX_CERTIFICATES)
        for certificate in (peer.leaf, *peer.intermediates):
            put(self._certificates, bytes.fromhex(certificate.fingerprint), certificate, MAX_CERTIFICATES)

    def keep_wider(self, digests: list[bytes], peer: Peer) -> None:
        """Keep a peer who has proved that it is the leaf's, and showed some certificates that nobody needed."""
        put(self._wider, b"".join(digests), peer, MAX_WIDER)
