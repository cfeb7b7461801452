"""Certificates as a client shows them, and what is kept of them."""

from __future__ import annotations

from proxy.accept.peers import Facts
from tests.support.certificates import Issued


def digests_of(*chain: Issued) -> list[bytes]:
    """Return the digests of certificates."""
    return [bytes.fromhex(issued.certificate.fingerprint) for issued in chain]


def kept_by(facts: Facts) -> set[str]:
    """Return the subjects of all certificates that are kept."""
    peers = (*facts._peers.values(), *facts._wider.values())
    kept = {cert.subject for peer in peers for cert in (peer.leaf, *peer.intermediates)}
    return kept | {cert.subject for cert in facts._certificates.values()}
