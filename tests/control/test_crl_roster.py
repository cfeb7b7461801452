"""The roster: what certificates name has its limits, in number and in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.control.offload import Offload
from proxy.decide.peer.answers import Fault
from tests.support import web
from tests.support.refreshing import Stage, following, need
from tests.support.web import Web


def test_their_number_has_a_limit(
    tmp_path: Path, offload: Offload, server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is in use makes no room for another; one that has brought nothing does."""
    monkeypatch.setattr("proxy.control.crl_roster.MAX_NAMED", 1)
    site = following(tmp_path, offload, server)
    server.answers |= {"/b.crl": web.body(site.crl(5)), "/c.crl": web.body(site.crl(6))}
    a, b, c = (need(site, server.url(f"/{name}.crl")) for name in "abc")

    async def work(stage: Stage) -> None:
        outcomes = []
        for number, asked in enumerate((a, b, c), 1):
            stage.refresh.ask([asked])
            await stage.until(lambda number=number: len(stage.settled) == number)  # type: ignore[misc]
            outcomes.append(stage.settled[-1][asked.key].outcome)
        assert [outcome and outcome.fault for outcome in outcomes] == [Fault.HTTP_STATUS, None, Fault.BUSY]
        assert stage.numbers == [(5, 0)]

    site.run(work)


def test_what_nobody_shows_any_more_is_forgotten(
    tmp_path: Path, offload: Offload, server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its CRL goes, and it is not asked for again."""
    monkeypatch.setattr("proxy.control.crl_roster.UNUSED", -1.0)
    site = following(tmp_path, offload, server)
    server.answers["/ca.crl"] = web.body(site.crl(5))

    async def work(stage: Stage) -> None:
        stage.refresh.ask([need(site, server.url())])
        await stage.until(lambda: stage.settled)
        stage.refresh.hurry()
        await stage.line("crl.forgotten")
        await stage.until(lambda: stage.numbers == [])
        assert not stage.metrics.crl_fetches

    site.run(work)
