"""CRL check: whether what was fetched may be used. It reads, compiles and verifies: work for the helper process.

Nothing takes the place of a good CRL that is not signed by the same CA, up to date and newer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from proxy.control.fetched import Validators
from proxy.decide.facts import Certificate, read_certificate
from proxy.decide.peer.crl.evidence import moment
from proxy.decide.peer.crl.facts import Crl
from proxy.decide.peer.crl.names import name_key
from proxy.decide.peer.crl.store import is_future, rank
from proxy.decide.peer.crl.verify import check_signer
from proxy.decide.text import printable
from proxy.snapshot.cache import Cache
from proxy.snapshot.credentials import CredentialError
from proxy.snapshot.crls import CrlFile, compile_crls, open_file
from proxy.snapshot.kept_crl import KeptHead, kept_name, read_kept, write_kept

MAX_NAME: Final = 256
"""Characters of an issuer's name in the log."""

MAX_BESIDE: Final = 4
"""CRLs of other keys or scopes that stay in use beside the newest: a CA changes its key once in years."""


class Flaw(StrEnum):
    """Why a CRL that arrived is not used."""

    MALFORMED = "malformed"
    WRONG_KIND = "wrong-kind"
    WRONG_SIGNER = "wrong-signer"
    NOT_YET_VALID = "not-yet-valid"
    STALE = "stale"
    REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class Origin:
    """For whom, from where and by whom: ``issuers`` are the DER of certificates that may have signed it.

    ``source`` is what it is called: the first of the addresses that it can be had at.
    """

    bundle: str
    url: str
    source: str
    issuers: tuple[bytes, ...]
    is_delta: bool = False


@dataclass(frozen=True, slots=True)
class Good:
    """CRLs that may be used, with what the log says of the newest.

    ``verified`` is false where no certificate of its issuer is at hand; clients bring it, and it is verified then.
    ``worry`` says why it is not kept. ``freshest`` are the addresses of its deltas.
    """

    url: str
    files: tuple[CrlFile, ...]
    verified: bool
    issuer: str
    number: int | None
    this_update: float
    next_update: float
    entries: int
    freshest: tuple[str, ...]
    fetched_at: float
    validators: Validators
    worry: str | None = None


@dataclass(frozen=True, slots=True)
class Flawed:
    """CRLs that may not be used."""

    flaw: Flaw
    detail: str


class _FlawError(Exception):
    """A ``Flawed`` on its way out."""

    def __init__(self, flaw: Flaw, detail: str) -> None:
        super().__init__(detail)
        self.value = Flawed(flaw, printable(detail))


def examine(  # noqa: PLR0917 - what arrived, and beside what
    origin: Origin, body: Path, validators: Validators, before: tuple[CrlFile, ...], cache: Cache | None, now: float
) -> Good | Flawed:
    """Judge what has arrived in the file ``body`` beside what is at hand, and keep it if it is good."""
    data = body.read_bytes()
    head = KeptHead(
        bundle=origin.bundle, url=origin.url, digest=hashlib.sha256(data).hexdigest(), fetched_at=now,
        etag=validators.etag, last_modified=validators.last_modified,
    )  # fmt: skip
    older = [(file, open_file(file)) for file in before]
    try:
        found, verified = _read(origin, data, cache)
        _check_dates(found, older, now)
        if verified:
            _check_numbers(found, older)
    except _FlawError as flaw:
        return flaw.value
    return _good(found, _kept_beside(found, older), head, verified=verified, worry=_keep(cache, head, data))


def restore(origin: Origin, cache: Cache, now: float, *, compiles: bool = True) -> Good | Flawed | None:
    """Return what was kept, verified anew but however old; None where there is nothing.

    It is compiled to the cache, too, or, where not ``compiles``, in memory.
    """
    kept = read_kept(cache, origin.bundle, origin.url)
    if kept is None:
        return _damaged(cache, kept_name(origin.bundle, origin.url))
    head, data = kept
    try:
        found, verified = _read(origin, data, cache if compiles else None)
        _check_dates(found, [], now)
    except _FlawError as flaw:
        return flaw.value
    return _good(found, (), head, verified=verified)


def _damaged(cache: Cache, name: str) -> Flawed | None:
    if not cache.path(name).exists():
        return None
    return Flawed(Flaw.MALFORMED, f"what was kept is damaged, or cannot be read: {printable(str(cache.path(name)))}")


_Opened = list[tuple[CrlFile, Crl]]


def _read(origin: Origin, data: bytes, cache: Cache | None) -> tuple[_Opened, bool]:
    """Compile and verify; tell whether a signer of every CRL is at hand."""
    try:
        files = [CrlFile(ref, origin.source) for ref in compile_crls(data, cache)]
    except CredentialError as fault:
        raise _FlawError(Flaw.MALFORMED, str(fault)) from fault
    found = [(file, open_file(file)) for file in files]
    if origin.is_delta and any(crl.base is None for _, crl in found):
        raise _FlawError(Flaw.WRONG_KIND, "a complete CRL where a delta CRL was to be")
    issuers = [read_certificate(der) for der in origin.issuers]
    verified = [_verify(crl, issuers) for _, crl in found]
    return found, all(verified)


def _verify(crl: Crl, issuers: Iterable[Certificate]) -> bool:
    """Tell whether a certificate is at hand that has issued ``crl``; one of its name that has not is a flaw."""
    named = (issuer for issuer in issuers if name_key(issuer.x509.subject) == crl.issuer_key)
    faults = [check_signer(crl, issuer) for issuer in named]
    if faults and None not in faults:
        name = printable(crl.issuer, MAX_NAME)
        raise _FlawError(Flaw.WRONG_SIGNER, f"{name} has not issued the CRL that bears its name: {faults[0]}")
    return bool(faults)


def _check_dates(found: _Opened, older: _Opened, now: float) -> None:
    for _, crl in found:
        if is_future(crl, now):
            raise _FlawError(Flaw.NOT_YET_VALID, f"it does not count before {moment(crl.this_update)}")
        if now > crl.next_update and any(known.next_update >= crl.next_update for _, known in older):
            raise _FlawError(Flaw.STALE, f"it is out of date since {moment(crl.next_update)}")


def _check_numbers(found: _Opened, older: _Opened) -> None:
    ranks = {crl.group: rank(crl) for _, crl in older}
    for _, crl in found:
        known = ranks.get(crl.group)
        if known is not None and rank(crl) < known:
            detail = f"number {crl.number} of {moment(crl.this_update)}, after number {known[0]} of {moment(known[1])}"
            raise _FlawError(Flaw.REPLAYED, detail)


def _kept_beside(found: _Opened, older: _Opened) -> tuple[CrlFile, ...]:
    """Return what stays in use beside a newer answer: CRLs that it does not replace, however old; the freshest first.

    So neither the change to another key of the CA nor another of its CRLs at this address leaves a client without, and
    what only the old key's CRL lists stays revoked.
    """
    ranks = {crl.group: rank(crl) for _, crl in found}
    new = {file.ref.digest for file, _ in found}
    stay = [
        (crl.next_update, file)
        for file, crl in older
        if file.ref.digest not in new
        and (crl.group not in ranks or rank(crl) > ranks[crl.group])
    ]
    return tuple(file for _, file in sorted(stay, key=lambda pair: pair[0], reverse=True)[:MAX_BESIDE])


def _keep(cache: Cache | None, head: KeptHead, data: bytes) -> str | None:
    if cache is None:
        return None
    try:
        write_kept(cache, head, data)
    except OSError as fault:
        return f"{cache.directory}: it cannot be kept for the next start: {fault.strerror}"
    return None


def _good(
    found: _Opened, beside: tuple[CrlFile, ...], head: KeptHead, *, verified: bool, worry: str | None = None
) -> Good:
    first = max((crl for _, crl in found), key=rank)
    return Good(
        url=head.url,
        files=(*(file for file, _ in found), *beside),
        verified=verified,
        issuer=printable(first.issuer, MAX_NAME),
        number=first.number,
        this_update=first.this_update,
        next_update=min(crl.next_update for _, crl in found),
        entries=sum(len(crl) for _, crl in found),
        freshest=tuple(dict.fromkeys(url for _, crl in found for url in crl.freshest)),
        fetched_at=head.fetched_at,
        validators=Validators(head.etag, head.last_modified),
        worry=worry or next((file.ref.worry for file, _ in found if file.ref.worry is not None), None),
    )
