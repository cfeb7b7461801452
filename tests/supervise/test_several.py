"""The supervisor of a crew, without the crew."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from time import monotonic

import pytest

from proxy.control.crl_refresh import CrlRefresh
from proxy.control.fetch import Fetcher
from proxy.control.inquiry import Inquiry
from proxy.control.offload import Offload
from proxy.observe.fold import WINDOW
from proxy.observe.log import Log
from proxy.observe.metrics import Metrics
from proxy.snapshot.prepare import prepare
from proxy.supervise import crew
from proxy.supervise.change import Control
from proxy.supervise.several import Several
from tests.support.logged import logged
from tests.support.site import small_site


def test_what_was_folded_is_said_while_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A responder that fails once a day has a line each time, and none of them waits for the end."""
    prepared = prepare(small_site(tmp_path, 9)[0], time.time(), None)
    monkeypatch.setattr(crew, "share", lambda frame, _nobody: frame)
    offload = Offload()

    async def play(log: Log) -> None:
        metrics, fetcher = Metrics(), Fetcher()
        control = Control(prepared, log, metrics, CrlRefresh(fetcher, offload, log, metrics))
        several = Several(1, 0, [], control)
        for _ in range(2):
            log.refuse("ocsp.failed", same="a responder")
        await several.open(Inquiry(lambda _needs: None, lambda _needs: None))
        await asyncio.sleep(0)
        log.write("mark")
        log.refuse("ocsp.failed", same="a responder")
        await several.drain(0, 0, asyncio.Event())
        await fetcher.close()

    started = monotonic()
    lines = logged(lambda log: asyncio.run(play(log)), lambda: started - 2 * WINDOW)
    offload.close()
    assert [(line["event"], line.get("folded")) for line in lines if line["event"] != "draining"] == [
        ("ocsp.failed", None), ("ocsp.failed", 1), ("mark", None), ("ocsp.failed", None),
    ]  # fmt: skip
