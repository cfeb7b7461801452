"""Needs: what a verdict waits for, as somebody who may use the network is asked for it.

A need is plain values, so that it can be sent to another process. Its ``key`` is what the answer is filed under:
equal questions have equal keys, whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import ClassVar, Final

from proxy.decide.verdict import Reason

_OCTETS_OF_A_LENGTH: Final = 4


class Nonce(StrEnum):
    """Whether a request carries a nonce, and its answer has to (RFC 9654). With ``off`` a cache may answer for it."""

    OFF = "off"
    ASK = "ask"
    REQUIRE = "require"


@dataclass(frozen=True)
class CrlNeed:
    """A CRL at one of ``urls``, tried in this order, for the certificate at ``depth`` of a chain.

    ``fingerprint`` is that certificate's (lower-case hexadecimal SHA-256). ``issuers`` are the DER of certificates
    that may have signed it: those above in a chain that was verified.
    """

    unmet: ClassVar[Reason] = Reason.CRL_MISSING
    bundle: str
    urls: tuple[str, ...]
    fingerprint: str
    depth: int
    issuers: tuple[bytes, ...] = field(default=(), repr=False)

    @cached_property
    def key(self) -> bytes:
        """What the answer is filed under: the addresses, whichever certificate led to them, and the bundle.

        A CRL that is wrong for one bundle may be right for another, which trusts another CA.
        """
        return _digest("crl", self.bundle, *self.urls)

    def __str__(self) -> str:
        """Name what is asked for."""
        return f"the CRL at {_listed(self.urls)}"


@dataclass(frozen=True)
class OcspNeed:
    """The OCSP status of ``certificate`` by ``issuer`` (DER each), from one of ``urls``, tried in this order.

    ``digest`` is the hash of the certID (``sha1``, ``sha256``). ``max_age`` is how many seconds after its thisUpdate an
    answer counts at most, None is until its nextUpdate. ``timeout`` bounds each attempt in seconds. ``fingerprint`` is
    the certificate's (lower-case hexadecimal SHA-256), ``depth`` its place in the chain.
    """

    unmet: ClassVar[Reason] = Reason.OCSP_UNAVAILABLE
    bundle: str
    urls: tuple[str, ...]
    certificate: bytes
    issuer: bytes
    fingerprint: str
    depth: int
    digest: str
    nonce: Nonce
    max_age: float | None
    timeout: float

    @cached_property
    def key(self) -> bytes:
        """What the answer is filed under: who is asked, how, and about whom; not the bundle that asks."""
        asked = (self.fingerprint, sha256(self.issuer).hexdigest(), self.digest, self.nonce, str(self.max_age))
        return _digest("ocsp", *asked, *self.urls)

    def __str__(self) -> str:
        """Name who is asked."""
        return f"an OCSP answer of {_listed(self.urls)}"


Need = CrlNeed | OcspNeed


def _digest(*parts: str) -> bytes:
    """Hash the parts, each with its length, so that no two lists of parts run together to the same octets."""
    whole = sha256()
    for part in parts:
        octets = part.encode()
        whole.update(len(octets).to_bytes(_OCTETS_OF_A_LENGTH, "big") + octets)
    return whole.digest()


def _listed(urls: tuple[str, ...]) -> str:
    return " or ".join(urls)
