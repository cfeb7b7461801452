"""Material: reads every file that a configuration names, and notes what is wrong or worrying about each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from proxy.decide.facts import Certificate
from proxy.decide.peer.chain import Bundle
from proxy.snapshot.anchors import read_anchors
from proxy.snapshot.cache import Cache
from proxy.snapshot.config import CertificateConfig, HostConfig
from proxy.snapshot.config_trust import TrustConfig
from proxy.snapshot.credentials import (
    CredentialError,
    PrivateKey,
    chain_fault,
    matches,
    out_of_date,
    read_certificates,
    read_private_key,
)
from proxy.snapshot.crls import prepare_revocation
from proxy.snapshot.document import Document
from proxy.snapshot.fields import is_address
from proxy.snapshot.files import MAX_CREDENTIAL, Contents, FileError, read
from proxy.snapshot.prepared import PreparedBundle
from proxy.snapshot.problems import KeyPath, Problem

SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH.dotted_string


@dataclass(frozen=True, slots=True, eq=False)
class Credential:
    """What a host presents: its chain, leaf first, and the leaf's private key."""

    chain: tuple[Certificate, ...]
    key: PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Anchored:
    """A bundle as it is sent on, and its anchors, which are parsed already."""

    bundle: PreparedBundle
    anchors: tuple[Certificate, ...]


class Material:
    """Reads files for one snapshot at Unix time ``now``; ``problems``, ``warnings`` and ``files`` grow on the way.

    ``files`` has the SHA-256 of each file that was read. CRLs are compiled into ``cache``; None keeps them in memory.
    """

    def __init__(self, document: Document, now: float) -> None:
        self.cache: Cache | None = None
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.files: dict[Path, bytes] = {}
        self._document = document
        self._now = now

    def bundle(self, name: str, trust: TrustConfig) -> Anchored | None:
        """Read a bundle's anchors; None goes with a problem."""
        before = len(self.problems)
        anchors, windows = read_anchors(trust.anchors, ("trust", name, "anchors"), self, self._now)
        revocation = prepare_revocation(trust.revocation, ("trust", name, "revocation"), anchors, self, self._now)
        if len(self.problems) > before:
            return None
        try:
            Bundle(name, anchors)
        except crypto.Error:
            self.problem(("trust", name), "OpenSSL cannot read one of the anchors")
            return None
        bundle = PreparedBundle(name, trust, tuple(anchor.der for anchor in anchors), revocation, windows)
        return Anchored(bundle, anchors)

    def credential(self, host: HostConfig, at: KeyPath) -> Credential | None:
        """Read what the host at the key path ``at`` presents; None goes with a problem."""
        place = (*at, "certificate")
        chain = self._chain(host.certificate, (*place, "chain"))
        key = self._key(host.certificate.key, (*place, "key"))
        if chain is None or key is None:
            return None
        if not matches(key, chain[0]):
            message = f"the key in {host.certificate.key} does not belong to the certificate of {chain[0].subject}"
            self.problem((*place, "key"), message)
            return None
        self.warnings.extend(self._problem_of((*place, "chain"), text) for text in self._worries(chain[0], host))
        return Credential(chain, key)

    def _chain(self, config: CertificateConfig, at: KeyPath) -> tuple[Certificate, ...] | None:
        chain = self.certificates(config.chain, at, beside_key=True)
        fault = chain_fault(chain)
        if fault is not None:
            self.problem(at, f"{config.chain}: {fault}")
        return chain if chain and fault is None else None

    def certificates(self, path: Path, at: KeyPath, *, beside_key: bool = False) -> tuple[Certificate, ...]:
        """Read a file of certificates that the key path ``at`` names; none go with a problem."""
        contents = self.read(path, at)
        if contents is None:
            return ()
        try:
            return read_certificates(contents.data, beside_key=beside_key)
        except CredentialError as fault:
            self.problem(at, f"{path}: {fault}")
            return ()

    def _key(self, path: Path, at: KeyPath) -> PrivateKey | None:
        contents = self.read(path, at)
        if contents is None:
            return None
        if contents.shared:
            self.warn(at, f"the private key {path} can be read by others (its group or everybody); chmod 600 it")
        try:
            return read_private_key(contents.data)
        except CredentialError as fault:
            self.problem(at, f"{path}: {fault}")
            return None

    def read(self, path: Path, at: KeyPath, limit: int = MAX_CREDENTIAL) -> Contents | None:
        """Read a file of ``limit`` octets at most that the key path ``at`` names; None goes with a problem."""
        try:
            contents = read(path, limit)
        except FileError as fault:
            self.unreadable(at, fault)
            return None
        self.note(path, contents.data)
        return contents

    def note(self, path: Path, data: bytes) -> None:
        """Take note of a file that was read, and of what was in it."""
        self.files[path] = hashlib.sha256(data).digest()

    def unreadable(self, at: KeyPath, fault: FileError) -> None:
        """Note that a file or folder cannot be read."""
        missing = isinstance(fault.__cause__, FileNotFoundError)
        hint = " (relative paths start from the configuration file's folder)" if missing else ""
        self.problem(at, f"{fault}{hint}")

    def _worries(self, leaf: Certificate, host: HostConfig) -> Iterator[str]:
        dates = out_of_date(leaf, self._now)
        if dates is not None:
            yield f"the certificate of {leaf.subject} {dates}; clients will refuse it"
        if leaf.eku is not None and SERVER_AUTH not in leaf.eku:
            yield f"the extended key usage of {leaf.subject} lacks serverAuth; clients will refuse it"
        bare = [name for name in host.names if not _covers(leaf, name)]
        if bare:
            yield f"the certificate of {leaf.subject} does not cover {', '.join(bare)}; clients will refuse it there"

    def problem(self, at: KeyPath, message: str) -> None:
        """Note what is wrong at a key path."""
        self.problems.append(self._problem_of(at, message))

    def warn(self, at: KeyPath, message: str) -> None:
        """Note what is worrying at a key path."""
        self.warnings.append(self._problem_of(at, message))

    def _problem_of(self, at: KeyPath, message: str) -> Problem:
        return self._document.problem(at, message)


def _covers(leaf: Certificate, name: str) -> bool:
    """Tell whether a client would accept the leaf for a host name, or for all names of a wildcard (RFC 9525)."""
    if is_address(name):
        return name.strip("[]") in map(str, leaf.san_ip)
    known = {san.lower().removesuffix(".") for san in leaf.san_dns}
    return name in known or "*." + name.partition(".")[2] in known
