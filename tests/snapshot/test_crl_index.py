"""CRL index files: they say what the CRL says, are made once, and are made anew where anything is wrong with them."""

from __future__ import annotations

import os
import pickle
import struct
from dataclasses import fields
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.decide.peer.crl.facts import Crl, MalformedCrlError, Seal, read_crl
from proxy.decide.peer.crl.verify import check_signer
from proxy.snapshot import crl_index
from proxy.snapshot.cache import Cache
from proxy.snapshot.crl_index import CrlIndexError, CrlRef, compile_crl, mapped_crls, open_crl
from tests.support.certificates import Issued, make_ca, name
from tests.support.crls import make_crl, point, uri

CA = make_ca("CA")
LISTED = {serial: serial % 2 for serial in range(1, 400, 3)}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Make an empty cache."""
    return Cache(tmp_path)


def file_of(ref: CrlRef) -> Path:
    """Return the index file of a CRL that was compiled into a cache."""
    assert ref.file is not None
    assert (ref.image, ref.worry) == (None, None)
    return ref.file


def said(crl: Crl) -> dict[str, object]:
    """Return all that a CRL says, to be compared."""
    values = {field.name: getattr(crl, field.name) for field in fields(crl) if field.name not in {"seal", "entries"}}
    seal: Seal = crl.seal
    values["seal"] = (type(seal.scheme), seal.digest and seal.digest.name, bytes(seal.signed), seal.signature)
    values["entries"] = {issuer: (index.width, bytes(index.records)) for issuer, index in crl.entries.items()}
    return values


def ed25519_ca() -> Issued:
    """Make a CA whose signatures are over the whole CRL."""
    return make_ca("Edwards", key=ed25519.Ed25519PrivateKey.generate())


KINDS = {
    "empty": make_crl(CA),
    "large serials": make_crl(CA, {1 << 150: 1, (1 << 158) + 5: 6, 3: 0}, number=1 << 70),
    "delta": make_crl(CA, {5: 8, 6: 1}, number=3, base=2),
    "scoped": make_crl(CA, LISTED, extensions=[point(full_name=uri("http://a.example"), only_contains_ca_certs=True)]),
    "indirect": make_crl(CA, LISTED, extensions=[point(indirect_crl=True)], certificate_issuer=name("Other")),
    "whole message signed": make_crl(ed25519_ca(), LISTED),
}


@pytest.mark.parametrize("der", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("cached", [True, False])
def test_an_opened_index_says_what_the_crl_says(cache: Cache, der: bytes, cached: bool) -> None:
    """Issuer, dates, scope, seal and every entry, of each kind, from a file as from memory."""
    ref = compile_crl(der, cache if cached else None)
    assert said(open_crl(ref, "a.crl")) == said(read_crl(der, "a.crl"))
    assert (ref.file is None) == (not cached)
    assert pickle.loads(pickle.dumps(ref)) == ref  # noqa: S301 - as the helper process does


@pytest.mark.parametrize("ca", [CA, ed25519_ca()], ids=["ECDSA", "Ed25519"])
def test_a_signature_is_checked_against_the_file(cache: Cache, ca: Issued) -> None:
    """Also one over the whole CRL, which lies in the file."""
    crl = open_crl(compile_crl(make_crl(ca, LISTED), cache), "a.crl")
    assert check_signer(crl, ca.certificate) is None
    other = ed25519_ca() if isinstance(ca.key, ed25519.Ed25519PrivateKey) else make_ca()
    forged = open_crl(compile_crl(make_crl(Issued(ca.certificate, other.key), LISTED), cache), "a.crl")
    assert "signature does not match" in str(check_signer(forged, ca.certificate))


def test_a_crl_is_compiled_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for it again, also after a restart, gets the file that is there."""
    der = make_crl(CA, LISTED)
    first = compile_crl(der, cache)
    os.utime(file_of(first), (1, 1))
    monkeypatch.setattr(crl_index, "read_crl", None)
    assert compile_crl(der, cache) == first
    assert file_of(first).stat().st_mtime > 1  # it is in use


def test_a_process_maps_a_file_once(cache: Cache) -> None:
    """However many bundles name it; the last one that goes takes the mapping along."""
    ref = compile_crl(make_crl(CA, LISTED), cache)
    first, second = open_crl(ref, "a.crl"), open_crl(ref, "b.crl")
    assert (first.source, second.source) == ("a.crl", "b.crl")
    assert (maps(file_of(ref)), mapped_crls()) == (1, 1)
    del first
    assert maps(file_of(ref)) == 1
    assert second.entries
    del second
    assert (maps(file_of(ref)), mapped_crls()) == (0, 0)


def maps(path: Path) -> int:
    """Count how often this process has a file mapped."""
    return Path("/proc/self/maps").read_text().count(str(path))


def test_a_mapped_file_may_go(cache: Cache) -> None:
    """Pruning, by this instance or another, takes nothing away from what is in force."""
    ref = compile_crl(make_crl(CA, {5: 1}), cache)
    crl = open_crl(ref, "a.crl")
    file_of(ref).unlink()
    (index,) = crl.entries.values()
    assert index.find(5) is not None


def test_what_cannot_be_used_is_not_compiled(cache: Cache) -> None:
    """Nothing is left behind."""
    with pytest.raises(MalformedCrlError):
        compile_crl(make_crl(CA)[:-1], cache)
    assert list(cache.directory.iterdir()) == []


@given(place=st.floats(0, 1, exclude_max=True), octet=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_made_anew(cache: Cache, place: float, octet: int, cut: bool) -> None:
    """One octet that changed, wherever it is, or any end that is missing."""
    der = KINDS["indirect"]
    ref = compile_crl(der, cache)
    good = file_of(ref).read_bytes()
    at = int(place * len(good))
    file_of(ref).write_bytes(good[:at] if cut else good[:at] + bytes((good[at] ^ octet,)) + good[at + 1 :])
    assert compile_crl(der, cache) == ref
    assert file_of(ref).read_bytes() == good


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda good: good[:0], "cannot be opened"),
        (lambda good: good[:50], "is cut off"),
        (lambda good: b"#" + good[1:], "no index of a CRL in version 1"),
        (lambda good: good[:16] + struct.pack("!I", 2) + good[20:], "no index of a CRL in version 1"),
        (lambda good: good[:-1], "another size"),
        (lambda good: good[:16] + good[16:].replace(b'"crl"', b'"crL"', 1), "is damaged"),
    ],
)
def test_a_file_that_went_bad_since_is_not_opened(cache: Cache, spoil: object, words: str) -> None:
    """Of another version, of a foreign kind, cut off, changed: an error that names it."""
    ref = compile_crl(make_crl(CA, LISTED), cache)
    file_of(ref).write_bytes(spoil(file_of(ref).read_bytes()))  # type: ignore[operator]
    with pytest.raises(CrlIndexError, match=words) as caught:
        open_crl(ref, "a.crl")
    assert str(file_of(ref)) in str(caught.value)


def test_the_index_of_another_crl_is_not_taken_for_it(cache: Cache) -> None:
    """A file that somebody renamed."""
    ref, other = compile_crl(make_crl(CA, LISTED), cache), compile_crl(make_crl(CA), cache)
    file_of(other).replace(file_of(ref))
    with pytest.raises(CrlIndexError, match="the index of another CRL"):
        open_crl(ref, "a.crl")
    with pytest.raises(CrlIndexError, match="cannot be opened"):
        open_crl(other, "a.crl")


def test_a_cache_that_cannot_be_written_to_is_a_worry(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is no reason to go without a CRL that is at hand."""

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    der = make_crl(CA, LISTED)
    ref = compile_crl(der, cache)
    assert ref.worry == f"{cache.directory}: the index of a CRL cannot be written: No space left on device"
    assert list(cache.directory.iterdir()) == []
    assert said(open_crl(ref, "a.crl")) == said(read_crl(der, "a.crl"))
