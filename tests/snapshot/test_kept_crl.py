"""Kept CRLs on disk: each is found again by bundle and address, and a damaged one is nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from proxy.snapshot.cache import Cache
from proxy.snapshot.kept_crl import KeptHead, find_kept, kept_name, read_kept, write_kept

URL = "http://pki.example/ca.crl"


def head(bundle: str, data: bytes = b"crl") -> KeptHead:
    """Make what is known of a CRL."""
    return KeptHead(bundle=bundle, url=URL, digest=hashlib.sha256(data).hexdigest(), fetched_at=1.0, etag='"x"')


def test_each_bundle_finds_its_own(tmp_path: Path) -> None:
    """What is good for one may be nothing for another."""
    cache = Cache(tmp_path)
    write_kept(cache, head("a"), b"crl")
    assert read_kept(cache, "a", URL) == (head("a"), b"crl")
    assert read_kept(cache, "b", URL) is None
    write_kept(cache, head("b"), b"crl")
    assert sorted(found.bundle for found in find_kept(tmp_path)) == ["a", "b"]


def test_what_is_damaged_or_misnamed_is_nothing(tmp_path: Path) -> None:
    """And hides none of the others."""
    cache = Cache(tmp_path)
    write_kept(cache, head("a"), b"crl")
    write_kept(cache, head("b"), b"another")
    cache.path(kept_name("c", URL)).write_bytes(b"{not JSON")
    cache.path(kept_name("d", URL)).write_bytes(cache.path(kept_name("a", URL)).read_bytes())
    cache.path(kept_name("e", URL)).mkdir()
    assert sorted(found.bundle for found in find_kept(tmp_path)) == ["a", "b"]
    assert read_kept(cache, "b", URL) is None
    assert read_kept(cache, "d", URL) is None


def test_a_folder_that_cannot_be_listed_is_the_callers_to_tell(tmp_path: Path) -> None:
    """It is not the same as an empty one."""
    with pytest.raises(FileNotFoundError):
        list(find_kept(tmp_path / "none"))
