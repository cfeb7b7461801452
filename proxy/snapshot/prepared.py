"""Prepared: a checked configuration with the contents of its files, as plain values that can be sent elsewhere.

Whatever grows with a site is packed, one pickle for each part, so that a process that carries traffic can take it
apart bit by bit.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from proxy.decide.peer.windows import Window
from proxy.snapshot.cache import Cache
from proxy.snapshot.config import Config, HostConfig
from proxy.snapshot.config_trust import TrustConfig
from proxy.snapshot.crls import PreparedRevocation
from proxy.snapshot.stamps import Watched


@dataclass(frozen=True, slots=True)
class PreparedBundle:
    """A bundle: its anchors as DER, what it judges revocation by, and the windows of anchors by fingerprint."""

    name: str
    config: TrustConfig
    anchors: tuple[bytes, ...]
    revocation: PreparedRevocation | None
    windows: tuple[tuple[str, Window], ...] = ()


@dataclass(frozen=True, slots=True)
class PreparedHost:
    """A host with what it presents: its chain as DER, leaf first, and the leaf's private key as PKCS #8."""

    config: HostConfig
    chain: tuple[bytes, ...]
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """All that a generation is made of. Nothing that is wrong with a configuration is left to be found in it.

    ``frame`` is the configuration without hosts and bundles, which are packed. ``files`` are the paths of all files
    that were read, and ``digest`` is a digest of them and of what was in them; ``watched`` is what to watch for
    changes. ``inventory`` is packed, too: what a person would call the parts, for telling generations apart. ``cache``
    is where CRLs are compiled to, ``roots`` the PEM text of what https servers are held against (empty: the well-known
    ones).
    """

    frame: Config
    hosts: tuple[bytes, ...]
    bundles: tuple[bytes, ...]
    warnings: tuple[str, ...]
    files: tuple[str, ...]
    digest: str
    inventory: bytes
    watched: Watched
    cache: Cache | None = None
    roots: str = ""

    def unpack_hosts(self) -> Iterator[PreparedHost]:
        """Yield the hosts in their order."""
        for packed in self.hosts:
            host: PreparedHost = pickle.loads(packed)  # noqa: S301 - packed by this program
            yield host

    def unpack_bundles(self) -> Iterator[PreparedBundle]:
        """Yield the bundles in their order."""
        for packed in self.bundles:
            bundle: PreparedBundle = pickle.loads(packed)  # noqa: S301 - packed by this program
            yield bundle

    def with_bundle(self, bundle: PreparedBundle) -> Self:
        """Return the same with another bundle in the place of the one of that name."""
        bundles = [bundle if known.name == bundle.name else known for known in self.unpack_bundles()]
        return replace(self, bundles=tuple(map(pack, bundles)))


def pack(part: PreparedHost | PreparedBundle) -> bytes:
    """Pack a part for a Prepared."""
    return pickle.dumps(part, protocol=5)
