"""CRLs: reads the files that a bundle's revocation settings name, and checks what can be before any client comes.

A CRL whose issuer is an anchor, or is given as one of ``issuers``, is held against it at once. Others are by an
intermediate that clients bring along, and are held against that one then.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from proxy.decide.facts import Certificate
from proxy.decide.peer.crl.evidence import moment
from proxy.decide.peer.crl.facts import Crl
from proxy.decide.peer.crl.settings import Check, Revocation
from proxy.decide.peer.crl.store import CrlStore, is_future
from proxy.decide.peer.crl.verify import expects
from proxy.snapshot.config import CrlConfig, RevocationConfig
from proxy.snapshot.credentials import CredentialError, distinct, read_crls
from proxy.snapshot.files import CRL_SUFFIXES, MAX_CRL, Contents, FileError, certificates_in, files_in
from proxy.snapshot.problems import KeyPath


class Desk(Protocol):
    """Reads files, and takes notes of what is wrong or worrying about the key that names them."""

    def read(self, path: Path, at: KeyPath, limit: int) -> Contents | None:
        """Read a file; None goes with a problem."""

    def certificates(self, path: Path, at: KeyPath) -> tuple[Certificate, ...]:
        """Read a file of certificates; none go with a problem."""

    def problem(self, at: KeyPath, message: str) -> None:
        """Note what is wrong."""

    def warn(self, at: KeyPath, message: str) -> None:
        """Note what is worrying."""


def read_revocation(
    config: RevocationConfig | None, at: KeyPath, anchors: tuple[Certificate, ...], desk: Desk, now: float
) -> Revocation | None:
    """Read what a bundle with these ``anchors`` judges revocation by, as of Unix time ``now``.

    Every fault becomes a problem at ``desk``. None is for a bundle that asks for nothing.
    """
    if config is None or config.check is Check.NONE or config.crl is None:
        return None
    place = (*at, "crl")
    issuers = distinct(_issuers(config.crl, place, desk))
    store = CrlStore(_crls(config.crl, place, desk))
    _hold_against(store, (*anchors, *issuers), place, desk)
    for crl in store.newest:
        _worry(crl, (*place, "sources"), desk, now)
    allow_missing = config.crl.when_missing == "allow"
    return Revocation(config.check, store, issuers, config.crl.when_stale, allow_missing)


def _issuers(config: CrlConfig, at: KeyPath, desk: Desk) -> Iterator[Certificate]:
    for place, path in enumerate(config.issuers):
        here = (*at, "issuers", place)
        try:
            files = certificates_in(path)
        except FileError as fault:
            desk.problem(here, str(fault))
            continue
        for file in files:
            yield from desk.certificates(file, here)


def _crls(config: CrlConfig, at: KeyPath, desk: Desk) -> Iterator[Crl]:
    for place, path in enumerate(config.sources):
        here = (*at, "sources", place)
        try:
            files = files_in(path, CRL_SUFFIXES, "CRL")
        except FileError as fault:
            desk.problem(here, str(fault))
            continue
        for file in files:
            yield from _in_file(file, here, desk)


def _in_file(file: Path, at: KeyPath, desk: Desk) -> tuple[Crl, ...]:
    contents = desk.read(file, at, MAX_CRL)
    if contents is None:
        return ()
    try:
        return read_crls(contents.data, str(file))
    except CredentialError as fault:
        desk.problem(at, f"{file}: {fault}")
        return ()


def _hold_against(store: CrlStore, known: tuple[Certificate, ...], at: KeyPath, desk: Desk) -> None:
    """Refuse a CRL that claims to be by a certificate that is at hand, and is not."""
    for crl in store.crls:
        named = [cert for cert in known if expects(crl, cert)]
        faults = [store.fault_of(crl, cert) for cert in named]
        if faults and None not in faults:
            message = f"{crl.source}: {crl.issuer} has not issued the CRL that bears its name: {faults[0]}"
            desk.problem((*at, "sources"), message)


def _worry(crl: Crl, at: KeyPath, desk: Desk, now: float) -> None:
    if now > crl.next_update:
        desk.warn(at, f"{crl.source}: the CRL of {crl.issuer} is out of date since {moment(crl.next_update)}")
    elif is_future(crl, now):
        desk.warn(at, f"{crl.source}: the CRL of {crl.issuer} does not count before {moment(crl.this_update)}")
