"""Upkeep: the index files of the generation in force stay, others go when nobody has used them for long."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from proxy.control.upkeep import tend_cache
from proxy.snapshot.cache import UNUSED
from proxy.snapshot.cache_choice import Places
from proxy.snapshot.prepare import prepare
from tests.support.certificates import DAY
from tests.support.crls import make_crl
from tests.support.site import small_site


def test_files_in_use_stay_and_are_marked_as_used(tmp_path: Path) -> None:
    """Also when the generation has been in force for longer than files are kept."""
    revoked: dict[str, Any] = {"crl": {"sources": ["crl/"]}}
    trust = {name: {"anchors": ["cdn.pem"], "revocation": revoked} for name in ("cdn", "again")}
    trust["plain"] = {"anchors": ["cdn.pem"]}
    config, cdn = small_site(tmp_path, 9, trust=trust, cache={"directory": "cache"})
    (tmp_path / "crl").mkdir()
    now = time.time()
    for number in (1, 2):
        (tmp_path / "crl" / "cdn.crl").write_bytes(make_crl(cdn, number=number, this_update=now - DAY))
        prepared = prepare(config, now, Places())
        asked = [bundle.revocation for bundle in prepared.unpack_bundles() if bundle.revocation is not None]
        (current,) = {file for revocation in asked for file in revocation.index_files}
    assert len(list((tmp_path / "cache").iterdir())) == 2
    for file in (tmp_path / "cache").iterdir():
        os.utime(file, (0, now - UNUSED - 1))
    assert tend_cache(prepared, now) == 1
    assert list((tmp_path / "cache").iterdir()) == [current]
    assert current.stat().st_mtime > now - DAY
    assert tend_cache(prepared, now) == 0


def test_without_a_cache_there_is_nothing_to_tend(tmp_path: Path) -> None:
    """No CRL, no folder."""
    config, _ = small_site(tmp_path, 9)
    assert tend_cache(prepare(config, time.time(), Places()), time.time()) == 0
