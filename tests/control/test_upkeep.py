"""Upkeep: the index files of the generation in force stay, others go when nobody has used them for long."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from proxy.control.offload import Offload
from proxy.control.plane import Plane
from proxy.control.upkeep import keep_tending, tend_cache
from proxy.observe.log import open_log
from proxy.snapshot.cache import UNUSED
from proxy.snapshot.cache_choice import Places
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from tests.support.certificates import DAY
from tests.support.crls import make_crl
from tests.support.harness import PATIENCE
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


class Nowhere:
    """Puts every generation in force at once, nowhere."""

    async def publish(self, prepared: Prepared, generation: int) -> None:
        """Take a generation."""
        assert prepared.bundles, generation


def test_the_cache_is_tended_at_the_start_and_with_each_generation(tmp_path: Path) -> None:
    """A CRL that was replaced has an index that nobody uses; the one in force is marked again."""
    trust = {"cdn": {"anchors": ["cdn.pem"], "revocation": {"crl": {"sources": ["cdn.crl"]}}}}
    config, cdn = small_site(tmp_path, 9, trust=trust, cache={"directory": "cache"})
    now = time.time()
    (tmp_path / "cdn.crl").write_bytes(make_crl(cdn, number=1, this_update=now - DAY))
    prepared = prepare(config, now, Places())
    (file,) = (tmp_path / "cache").iterdir()
    log = open_log(tmp_path / "log")

    def grow_old() -> None:
        os.utime(file, (0, 0))

    async def marked() -> None:
        while not file.stat().st_mtime:  # noqa: ASYNC110 - another process marks it
            await asyncio.sleep(0.01)

    async def main(offload: Offload) -> None:
        plane = Plane(config, prepared, 1, places=Places(), data=Nowhere(), offload=offload)
        grow_old()
        tending = asyncio.create_task(keep_tending(plane, log))
        async with asyncio.timeout(PATIENCE):
            await marked()
            grow_old()
            await plane.change(lambda current: replace(current, warnings=("new",)))
            await marked()
        tending.cancel()

    offload = Offload()
    try:
        asyncio.run(main(offload))
    finally:
        offload.close()
        log.close()
