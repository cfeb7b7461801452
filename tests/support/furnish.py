"""Furnish: make the files that a configuration names, in memory's own PKI, so that it can be loaded and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.certificates import DAY, NOW, SERVER, Issued, make_ca, make_leaf
from tests.support.crls import make_crl

LONG = {"not_before": NOW - 1000 * DAY, "not_after": NOW + 1000 * DAY}
"""Valid at the tests' own time and at the clock's."""

CRL_FOLDERS = frozenset({"crl/cdn/"})
"""Folders of CRLs that examples name."""


@dataclass(frozen=True)
class Furnished:
    """The CA behind each trust bundle, and the one behind every server certificate."""

    bundles: Mapping[str, Issued]
    server_ca: Issued


def furnish(config: Path) -> Furnished:
    """Write every anchor, chain and key that ``config`` names.

    Paths are relative to its folder; one with a final slash is a folder. An anchor with a window is a CA of its own.
    """
    document = yaml.safe_load(config.read_text())
    server_ca = make_ca("Server CA")
    bundles = {}
    for name, trust in document.get("trust", {}).items():
        bundles[name] = make_ca(f"{name} CA")
        for anchor in trust["anchors"]:
            if isinstance(anchor, dict):
                write(config.parent / anchor["file"], pem(make_ca(anchor["file"])))
                continue
            file = anchor + "ca.pem" if anchor.endswith("/") else anchor
            write(config.parent / file, pem(bundles[name]))
        for source in trust.get("revocation", {}).get("crl", {}).get("sources", ()):
            if source in CRL_FOLDERS:
                write(config.parent / source / "ca.crl", crl_of_ca(bundles[name]))
    for host in document["hosts"]:
        leaf = make_leaf(server_ca, host["names"][0], dns=host["names"], eku=SERVER, **LONG)
        write(config.parent / host["certificate"]["chain"], pem(leaf) + pem(server_ca))
        write(config.parent / host["certificate"]["key"], key_pem(leaf))
    return Furnished(bundles, server_ca)


def crl_of_ca(issuer: Issued) -> bytes:
    """Make a CRL that lists nobody, up to date at the tests' own time and at the clock's."""
    return make_crl(issuer, this_update=LONG["not_before"], next_update=LONG["not_after"])


def pem(issued: Issued) -> bytes:
    """Return a certificate in PEM form."""
    return issued.certificate.x509.public_bytes(Encoding.PEM)


def key_pem(issued: Issued) -> bytes:
    """Return the certificate's private key in PEM form."""
    return issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def furnished(folder: Path, text: str) -> Path:
    """Write a configuration with everything that it names, and return its file."""
    file = write(folder / "o.yaml", text.encode())
    furnish(file)
    return file


def write(file: Path, data: bytes) -> Path:
    """Write a file that only its owner may read, and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    file.chmod(0o600)
    return file
