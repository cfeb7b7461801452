"""What all proxies are given: keys and certificates (three in each chain), CRLs, and the origin's bodies.

Everything lies below one folder and is made when it is first asked for. Leaves of one side share a key, so that ten
thousand identities cost ten thousand signatures and not as many keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from bench import revoked
from bench.plan import BULK, KILOBYTE, MEGABYTE
from proxy.operate.demo.pki import SERVER, Authority, Leaf, PrivateKey, ec_key, pem, rsa_key, write_private

HOST: Final = "origin.bench.test"
CLIENT: Final = "client.bench.test"
BODIES: Final = {0: "b0", KILOBYTE: "b1k", 16 * KILOBYTE: "b16k", MEGABYTE: "b1m", BULK: "b100m"}
"""The path's last segment that the origin answers with so many octets."""


def host_name(index: int) -> str:
    """Return the name of a host: the first is the one that every task has."""
    return HOST if index == 0 else f"h{index}.bench.test"


def route_path(index: int, routes: int) -> str:
    """Return a route's path; a single route is the whole host."""
    return "/" if routes == 1 else f"/tenants/{index:05d}/app/"


@dataclass(frozen=True)
class Keys:
    """The PKI of one kind of key, below ``folder``."""

    kind: str
    folder: Path

    def _key(self) -> PrivateKey:
        return rsa_key() if self.kind == "rsa" else ec_key()

    @cached_property
    def _leaf_key(self) -> PrivateKey:
        return self._key()

    @cached_property
    def _server_ca(self) -> Authority:
        return Authority.root("Bench Server Root", key=self._key()).intermediate("Bench Server CA", key=self._key())

    @cached_property
    def _client_root(self) -> Authority:
        return Authority.root("Bench Client Root", key=self._key())

    @cached_property
    def _client_ca(self) -> Authority:
        return self._client_root.intermediate("Bench Client CA", key=self._key())

    @cached_property
    def anchor(self) -> Path:
        """The root of the clients' certificates."""
        return self._client_root.write(self.folder / "client-root.pem")

    def server(self, index: int) -> Path:
        """Return a host's file: its chain (leaf and intermediate), then the key."""
        name = host_name(index)
        return self._both(self.folder / "server" / f"{index}.pem", self._server_ca, Leaf(
            subject=name, dns=(name,), eku=SERVER, key=self._leaf_key))  # fmt: skip

    def client(self, index: int) -> Path:
        """Return a client's file: its chain (leaf and intermediate), then the key."""
        return self._both(self.folder / "client" / f"{index}.pem", self._client_ca, Leaf(
            subject=f"client {index}", dns=(CLIENT,), key=self._leaf_key))  # fmt: skip

    def _both(self, path: Path, authority: Authority, leaf: Leaf) -> Path:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            credential = authority.issue(leaf)
            write_private(path, pem(*credential.chain) + credential.key_pem)
        return path

    def crl(self, entries: int, count: int = 1) -> Path:
        """Return a file with both authorities' CRLs (PEM); the intermediate's has ``entries``, the root's none.

        A ``count`` above one is for as many intermediates of the same root, the others without clients.
        """
        path = self.folder / f"crl-{entries}x{count}.pem"
        if not path.exists():
            others = (self._client_root.intermediate(f"Bench Client CA {place}") for place in range(1, count))
            crls = [revoked.make_crl(authority, entries) for authority in (self._client_ca, *others)]
            path.write_bytes(b"".join(map(revoked.pem, (*crls, revoked.make_crl(self._client_root, 0)))))
        return path


@dataclass(frozen=True)
class Site:
    """The folder of a run; ``origin`` is the port that answers for the app."""

    folder: Path
    origin: int
    _keys: dict[str, Keys] = field(default_factory=dict)

    def keys(self, kind: str) -> Keys:
        """Return the PKI of a kind of key, always the same one."""
        if kind not in self._keys:
            (self.folder / kind).mkdir()
            self._keys[kind] = Keys(kind, self.folder / kind)
        return self._keys[kind]

    def write_bodies(self) -> Path:
        """Make the files that the origin serves; the holes in them cost no disk."""
        folder = self.folder / "www"
        folder.mkdir()
        for size, name in BODIES.items():
            with (folder / name).open("wb") as body:
                body.truncate(size)
        return folder
