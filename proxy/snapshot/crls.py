"""CRLs: reads the files that a bundle's revocation settings name, and checks what can be before any client comes.

What is read comes to index files, and opening these is all that is left to do where traffic flows. A CRL whose issuer
is an anchor, or is given as one of ``issuers``, is held against it at once. Others are by an intermediate that clients
bring along, and are held against that one then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from proxy.decide.facts import Certificate, read_certificate
from proxy.decide.peer.answers import Answers
from proxy.decide.peer.crl.evidence import moment
from proxy.decide.peer.crl.facts import Crl, MalformedCrlError
from proxy.decide.peer.crl.names import NameKey, name_key
from proxy.decide.peer.crl.settings import Revocation
from proxy.decide.peer.crl.store import CrlStore, is_future
from proxy.decide.peer.crl.verify import expects
from proxy.decide.peer.depth import Check
from proxy.decide.peer.hosts import Hosts
from proxy.decide.peer.ocsp.settings import Mode, Ocsp
from proxy.snapshot.cache import Cache
from proxy.snapshot.config_trust import CrlConfig, OcspConfig, RevocationConfig
from proxy.snapshot.credentials import CredentialError, crls_in, distinct, is_pem
from proxy.snapshot.crl_index import CrlIndexError, CrlRef, compile_crl, open_crl
from proxy.snapshot.fields import CDP
from proxy.snapshot.files import CRL_SUFFIXES, MAX_CRL, Contents, FileError, certificates_in, files_in
from proxy.snapshot.problems import KeyPath


class Desk(Protocol):
    """Reads files, and takes notes of what is wrong or worrying about the key that names them.

    ``cache`` is where CRLs are compiled to, None where they are kept in memory.
    """

    @property
    def cache(self) -> Cache | None:
        """Where CRLs are compiled to."""

    def read(self, path: Path, at: KeyPath, limit: int) -> Contents | None:
        """Read a file; None goes with a problem."""

    def certificates(self, path: Path, at: KeyPath) -> tuple[Certificate, ...]:
        """Read a file of certificates; none go with a problem."""

    def problem(self, at: KeyPath, message: str) -> None:
        """Note what is wrong."""

    def warn(self, at: KeyPath, message: str) -> None:
        """Note what is worrying."""


@dataclass(frozen=True, slots=True)
class CrlFile:
    """A compiled CRL, and where it came from; ``fetched_at`` is for whoever tells of it when that was."""

    ref: CrlRef
    source: str
    fetched_at: float | None = None


@dataclass(frozen=True, slots=True)
class PreparedRevocation:
    """What a bundle judges revocation by, as plain values: ``issuers`` are the DER of certificates.

    ``crls`` are those of files, ``fetched`` those that came over the network.
    """

    config: RevocationConfig
    crls: tuple[CrlFile, ...]
    issuers: tuple[bytes, ...]
    fetched: tuple[CrlFile, ...] = ()

    @property
    def every(self) -> tuple[CrlFile, ...]:
        """All CRLs, wherever they came from."""
        return (*self.crls, *self.fetched)

    @property
    def index_files(self) -> Iterator[Path]:
        """The files that are opened when it is assembled."""
        return (crl.ref.file for crl in self.every if crl.ref.file is not None)


def prepare_revocation(
    config: RevocationConfig | None, at: KeyPath, anchors: tuple[Certificate, ...], desk: Desk, now: float
) -> PreparedRevocation | None:
    """Read and compile what a bundle with these ``anchors`` judges revocation by, as of Unix time ``now``.

    Every fault becomes a problem at ``desk``. None is for a bundle that asks for nothing.
    """
    if config is None or config.check is Check.NONE:
        return None
    if config.crl is None:
        return PreparedRevocation(config, (), ())
    place = (*at, "crl")
    issuers = distinct(_issuers(config.crl, place, desk))
    files = tuple(_files(config.crl, place, desk))
    try:
        store = CrlStore(open_crl(file.ref, file.source) for file in files)
    except CrlIndexError as fault:
        desk.problem((*place, "sources"), str(fault))
        return None
    _hold_against(store, (*anchors, *issuers), place, desk)
    for crl in store.newest:
        _worry(crl, (*place, "sources"), desk, now)
    return PreparedRevocation(config, files, tuple(issuer.der for issuer in issuers))


def open_file(file: CrlFile) -> Crl:
    """Open a compiled CRL. Raises CrlIndexError where its index file has gone since it was prepared."""
    crl = open_crl(file.ref, file.source)
    return crl if file.fetched_at is None else replace(crl, fetched_at=file.fetched_at)


def assemble_revocation(
    prepared: PreparedRevocation | None,
    answers: Answers | None = None,
    opened: Callable[[CrlFile], Crl] = open_file,
) -> Revocation | None:
    """Make of what was prepared what the judges read; ``opened`` gives each CRL. Raises CrlIndexError.

    ``answers`` is the table that all bundles of a process share; None makes one of its own.
    """
    if prepared is None:
        return None
    config, answers = prepared.config, Answers() if answers is None else answers
    ocsp, crl = _ocsp(config.ocsp), config.crl
    if crl is None:
        return Revocation(config.check, CrlStore(), answers=answers, asks_crls=False, ocsp=ocsp)
    return Revocation(
        check=config.check,
        crls=CrlStore(map(opened, prepared.every)),
        issuers=tuple(map(read_certificate, prepared.issuers)),
        grace=crl.when_stale,
        allow_missing=crl.when_missing == "allow",
        answers=answers,
        ocsp=ocsp,
        cdp=crl.hosts if CDP in crl.sources else None,
    )


def compile_crls(data: bytes, cache: Cache | None) -> tuple[CrlRef, ...]:
    """Compile the CRLs of a PEM file, or the one of a DER file, in their order; there is at least one.

    Raises CredentialError for anything else that is found, and for any CRL that cannot be used.
    """
    ders = crls_in(data)
    refs = []
    for number, der in enumerate(ders, 1):
        try:
            refs.append(compile_crl(der, cache))
        except MalformedCrlError as fault:
            what = f"CRL {number} of {len(ders)}" if is_pem(data) else "neither PEM nor one DER CRL"
            raise CredentialError(f"{what}: {fault}") from fault
    return tuple(refs)


def _ocsp(config: OcspConfig | None) -> Ocsp | None:
    if config is None or config.mode is Mode.OFF:
        return None
    return Ocsp(
        mode=config.mode,
        check=config.check,
        responder=config.responder,
        hosts=Hosts(config.allow_hosts),
        timeout=config.timeout,
        digest=config.digest,
        nonce=config.nonce,
        max_age=config.max_age,
        refresh=config.refresh,
    )


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


def _files(config: CrlConfig, at: KeyPath, desk: Desk) -> Iterator[CrlFile]:
    for place, path in enumerate(config.sources):
        if isinstance(path, str):
            continue  # fetched, by whoever may use the network
        here = (*at, "sources", place)
        try:
            files = files_in(path, CRL_SUFFIXES, "CRL")
        except FileError as fault:
            desk.problem(here, str(fault))
            continue
        for file in files:
            yield from (CrlFile(ref, str(file)) for ref in _in_file(file, here, desk))


def _in_file(file: Path, at: KeyPath, desk: Desk) -> tuple[CrlRef, ...]:
    contents = desk.read(file, at, MAX_CRL)
    if contents is None:
        return ()
    try:
        refs = compile_crls(contents.data, desk.cache)
    except CredentialError as fault:
        desk.problem(at, f"{file}: {fault}")
        return ()
    for ref in refs:
        if ref.worry is not None:
            desk.warn(at, f"{ref.worry}; each process keeps a copy of {file} in its memory")
    return refs


def _hold_against(store: CrlStore, known: tuple[Certificate, ...], at: KeyPath, desk: Desk) -> None:
    """Refuse a CRL that claims to be by a certificate that is at hand, and is not."""
    names: dict[NameKey, list[Certificate]] = {}
    for cert in known:
        names.setdefault(name_key(cert.x509.subject), []).append(cert)
    for crl in store.crls:
        named = [cert for cert in names.get(crl.issuer_key, ()) if expects(crl, cert)]
        faults = [store.fault_of(crl, cert) for cert in named]
        if faults and None not in faults:
            message = f"{crl.source}: {crl.issuer} has not issued the CRL that bears its name: {faults[0]}"
            desk.problem((*at, "sources"), message)


def _worry(crl: Crl, at: KeyPath, desk: Desk, now: float) -> None:
    if now > crl.next_update:
        desk.warn(at, f"{crl.source}: the CRL of {crl.issuer} is out of date since {moment(crl.next_update)}")
    elif is_future(crl, now):
        desk.warn(at, f"{crl.source}: the CRL of {crl.issuer} does not count before {moment(crl.this_update)}")
