"""CRL index files: a CRL compiled once, and mapped by every process that looks serials up in it.

A file is named after the digest of the CRL's DER and holds a frame (magic, version, sizes, digests of the head and of
the body), a head (JSON: where what is), and a body: the CRL without its entries, what its signature signs, and the
sorted records. Nothing in it is executable, and all but the records is checked again whenever it is opened.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from proxy.decide.peer.crl.facts import Crl, MalformedCrlError, read_crl, restore_crl
from proxy.decide.peer.crl.index import SerialIndex
from proxy.decide.peer.crl.names import NameKey
from proxy.decide.peer.crl.parts import skeleton_of
from proxy.snapshot.cache import Cache

VERSION: Final = 1
"""Raised with every change of the layout, and of what the walk over the entries accepts or writes."""

SUFFIX: Final = ".crl-index"

_MAGIC: Final = b"originward CRL\r\n"
_FRAME: Final = struct.Struct("!16sIIQ32s32s")
"""Magic, version, octets of the head, octets of the body, SHA-256 of the head and of the body."""

_MAX_HEAD: Final = 16 << 20
"""Octets: an indirect CRL may speak for a hundred thousand issuers."""


class CrlIndexError(Exception):
    """An index file that cannot be used; the message names it."""


class _Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The records of one issuer's certificates: each name's attributes, RDN by RDN, and where the records are."""

    issuer: tuple[tuple[tuple[str, str], ...], ...]
    start: int
    stop: int
    width: int


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where what is in the body: the skeleton from its start, then what is signed, then the records."""

    crl: str
    skeleton: int
    signed: int
    listings: tuple[_Listing, ...]


@dataclass(frozen=True, slots=True)
class CrlRef:
    """A compiled CRL: the digest of its DER, in hex, and its index, as a file or, where there is no cache, as octets.

    ``worry`` says why it is not a file although it should be one.
    """

    digest: str
    file: Path | None
    image: bytes | None = field(default=None, repr=False)
    worry: str | None = None


def compile_crl(der: bytes, cache: Cache | None) -> CrlRef:
    """Compile a DER CRL, unless ``cache`` has it already. Raises MalformedCrlError.

    A million entries take two seconds without a pause: this is for the helper process. A cache that cannot be written
    to (a full disk) is a worry, and no reason to go without the CRL.
    """
    digest = hashlib.sha256(der).hexdigest()
    name = digest + SUFFIX
    if cache is None:
        return CrlRef(digest, None, b"".join(_image(der, digest)))
    if _is_whole(cache.path(name), digest):
        cache.use(name)
        return CrlRef(digest, cache.path(name))
    image = _image(der, digest)
    try:
        cache.write(name, image)
    except OSError as fault:
        worry = f"{cache.directory}: the index of a CRL cannot be written: {fault.strerror}"
        return CrlRef(digest, None, b"".join(image), worry)
    return CrlRef(digest, cache.path(name))


def open_crl(ref: CrlRef, source: str) -> Crl:
    """Open a compiled CRL that came from ``source``; a process maps each file once. Raises CrlIndexError.

    It takes a fraction of a millisecond, whatever the CRL's size: that the records are whole was checked when the
    reference was made.
    """
    if ref.image is not None:
        return _restore(memoryview(ref.image), ref, source)
    mapped = _mapped.get(ref.digest)
    if mapped is None:
        mapped = _mapped[ref.digest] = _map(ref)
    return _restore(memoryview(mapped), ref, source)


def mapped_crls() -> int:
    """Return how many files are mapped; the interpreter keeps a descriptor for each."""
    return len(_mapped)


_mapped: Final[WeakValueDictionary[str, mmap.mmap]] = WeakValueDictionary()
"""The files that are mapped, by the digest of their CRL; one goes when the last CRL over it goes."""


# --- writing


def _image(der: bytes, digest: str) -> Sequence[bytes | memoryview]:
    crl = read_crl(der, "")
    skeleton = skeleton_of(der)
    body = [skeleton, crl.seal.signed, *(index.records for index in crl.entries.values())]
    listings = tuple(_listings(crl.entries, len(skeleton) + len(crl.seal.signed)))
    head = msgspec.json.encode(_Head(digest, len(skeleton), len(crl.seal.signed), listings))
    check = hashlib.sha256()
    for piece in body:
        check.update(piece)
    size = sum(map(len, body))
    frame = _FRAME.pack(_MAGIC, VERSION, len(head), size, hashlib.sha256(head).digest(), check.digest())
    return frame, head, *body


def _listings(entries: Mapping[NameKey, SerialIndex], at: int) -> Iterator[_Listing]:
    for name, index in entries.items():
        stop = at + len(index.records)
        yield _Listing(tuple(tuple(sorted(rdn)) for rdn in name), at, stop, index.width)
        at = stop


# --- reading


def _map(ref: CrlRef) -> mmap.mmap:
    if ref.file is None:
        raise CrlIndexError(f"the CRL {ref.digest} has no index")
    try:
        handle = os.open(ref.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(handle)
    except (OSError, ValueError) as fault:
        raise CrlIndexError(f"{ref.file}: the index of a CRL cannot be opened: {fault}") from fault


def _is_whole(path: Path, digest: str) -> bool:
    """Tell whether there is an index of this CRL and this version, to the last octet."""
    ref = CrlRef(digest, path)
    try:
        mapped = memoryview(_map(ref))
        _, body = _parse(mapped, ref)
    except CrlIndexError:
        return False
    checked: bytes = _FRAME.unpack_from(mapped)[5]
    return hashlib.sha256(body).digest() == checked


def _parse(image: memoryview, ref: CrlRef) -> tuple[_Head, memoryview]:
    """Return the head and the body of an index, all but the body checked. Raises CrlIndexError."""
    if len(image) < _FRAME.size:
        raise CrlIndexError(f"{ref.file}: the index of a CRL is cut off")
    magic, version, head_size, body_size, head_digest, _ = _FRAME.unpack_from(image)
    start = _FRAME.size + head_size
    if (magic, version) != (_MAGIC, VERSION):
        raise CrlIndexError(f"{ref.file}: no index of a CRL in version {VERSION}")
    if head_size > _MAX_HEAD or len(image) != start + body_size:
        raise CrlIndexError(f"{ref.file}: the index of a CRL has another size than it says")
    octets = image[_FRAME.size : start]
    if hashlib.sha256(octets).digest() != head_digest:
        raise CrlIndexError(f"{ref.file}: the index of a CRL is damaged")
    try:
        head = msgspec.json.decode(octets, type=_Head)
    except msgspec.MsgspecError as fault:
        raise CrlIndexError(f"{ref.file}: the index of a CRL cannot be read: {fault}") from fault
    if head.crl != ref.digest:
        raise CrlIndexError(f"{ref.file}: the index of another CRL")
    return head, image[start:]


def _restore(image: memoryview, ref: CrlRef, source: str) -> Crl:
    head, body = _parse(image, ref)
    try:
        entries = {_name(part): SerialIndex(body[part.start : part.stop], part.width) for part in head.listings}
        signed = body[head.skeleton : head.skeleton + head.signed]
        return restore_crl(bytes(body[: head.skeleton]), signed, entries, source)
    except (MalformedCrlError, ValueError) as fault:
        raise CrlIndexError(f"{ref.file}: the index of a CRL cannot be used: {fault}") from fault


def _name(listing: _Listing) -> NameKey:
    return tuple(map(frozenset, listing.issuer))
