"""CRL refresh: a newer CRL comes into force, and nothing that a server does replaces a good one by a worse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509

from proxy.control.offload import Offload
from proxy.control.planes import Settled
from proxy.decide.peer.answers import Failure, Fault
from proxy.operate.demo.pki import Authority
from proxy.snapshot.problems import ConfigError
from tests.support import web
from tests.support.certificates import DAY
from tests.support.crls import uri
from tests.support.refreshing import NEVER, Site, Stage, following, make_site, need
from tests.support.web import Answer, Web

UNKNOWN: Final = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


@pytest.fixture
def site(tmp_path: Path, offload: Offload, server: Web) -> Site:
    """Write a configuration with one address."""
    return make_site(tmp_path, offload, sources=[server.url()])


# --- what comes


def test_a_crl_is_there_before_anybody_is_judged(site: Site, server: Web) -> None:
    """It is fetched, verified and told of."""
    server.answers["/ca.crl"] = web.body(site.crl(5, 1, 2))

    async def work(stage: Stage) -> dict[str, Any]:
        assert stage.numbers == [(5, 2)]
        return await stage.line("crl.updated")

    line = site.run(work)
    assert (line["bundle"], line["source"], line["crl_number"], line["entries"]) == ("cdn", server.url(), "5", 2)
    assert line["verified"] is True


def test_a_newer_one_comes_into_force(site: Site, server: Web) -> None:
    """With another generation."""
    server.answers["/ca.crl"] = web.in_turn(web.body(site.crl(5)), web.body(site.crl(6, 77)))

    async def work(stage: Stage) -> None:
        stage.refresh.hurry()
        await stage.until(lambda: stage.generation == 2)
        assert stage.numbers == [(6, 1)]

    site.run(work)


def test_it_is_asked_for_again_in_time(tmp_path: Path, offload: Offload, server: Web) -> None:
    """After ``refresh``, without anybody's doing."""
    site = make_site(tmp_path, offload, sources=[server.url()], refresh="1s")
    server.answers["/ca.crl"] = web.in_turn(web.body(site.crl(5)), web.body(site.crl(6)))

    async def work(stage: Stage) -> None:
        await stage.until(lambda: stage.numbers == [(6, 0)])

    site.run(work)


def test_what_has_not_changed_is_not_sent_and_makes_no_generation(site: Site, server: Web) -> None:
    """The server is asked with what it said that the CRL can be known by."""
    five = web.body(site.crl(5), '"five"')
    server.answers["/ca.crl"] = web.in_turn(five, five, web.body(site.crl(6)))

    async def work(stage: Stage) -> None:
        stage.refresh.hurry()
        await asyncio.to_thread(server.wait_for, "/ca.crl", 2)
        stage.refresh.hurry()
        await stage.until(lambda: stage.numbers == [(6, 0)])
        assert stage.generation == 2
        assert stage.metrics.crl_fetches["cdn", server.url()].outcomes["unchanged"] == 1

    site.run(work)
    assert server.seen[1].header("if-none-match") == '"five"'


def test_a_delta_of_a_fetched_crl_is_fetched_too(site: Site, server: Web) -> None:
    """From where the CRL says, beside it; it is refreshed with it."""
    point = x509.DistributionPoint(uri(server.url("/delta.crl")), None, None, None)
    freshest = (x509.FreshestCRL([point]), False)
    server.answers["/ca.crl"] = web.body(site.crl(5, 1, extensions=[freshest]))
    server.answers["/delta.crl"] = web.in_turn(web.body(site.crl(6, 7, base=5)), web.body(site.crl(7, 7, 8, base=5)))

    async def work(stage: Stage) -> None:
        assert stage.numbers == [(5, 1), (6, 1)]
        stage.refresh.hurry()
        await stage.until(lambda: stage.numbers == [(5, 1), (7, 2)])

    site.run(work)


# --- what may not take its place

Failing = Callable[[Site], Answer]
NOW: Final = time.time()

REFUSED: Final[dict[str, tuple[Failing, str, str]]] = {
    "wrong content": (lambda _: web.body(b"<html>", kind="text/html"), "malformed", "neither PEM nor one DER CRL"),
    "nothing": (lambda _: web.body(b""), "malformed", ""),
    "truncated": (lambda site: web.body(site.crl(9)[:-10]), "malformed", "neither PEM nor one DER CRL"),
    "wrong signer": (
        lambda site: web.body(site.crl(9, by=Authority.root("CDN CA"))), "wrong-signer", "has not issued the CRL",
    ),
    "replayed": (lambda site: web.body(site.crl(4)), "replayed", "number 4"),
    "replayed, of that number": (
        lambda site: web.body(site.crl(5, this_update=NOW - 2 * DAY)), "replayed", "after number 5",
    ),
    "expired": (
        lambda site: web.body(site.crl(9, this_update=NOW - 3 * DAY, next_update=NOW - DAY)), "stale", "out of date",
    ),
    "of the future": (lambda site: web.body(site.crl(9, this_update=NOW + DAY)), "not-yet-valid", "does not count"),
    "a critical extension": (
        lambda site: web.body(site.crl(9, extensions=[(UNKNOWN, True)])), "malformed", "1.2.3.4 is not known",
    ),
}  # fmt: skip

FAILED: Final[dict[str, tuple[Answer, str]]] = {
    "a status": (web.status(500), "http-status"),
    "no answer": (web.silence(), "timed-out"),
    "a slow one": (web.drip(bytes(10_000)), "timed-out"),
    "an endless one": (web.endless(), "too-large"),
    "a loop of redirects": (web.redirect("/ca.crl"), "redirected"),
    "a redirect to nobody's host": (web.redirect("http://169.254.169.254/ca.crl"), "host-not-allowed"),
    "a cut one": (web.cut(b"0"), "unreachable"),
    "a bomb": (web.bomb(1 << 20), "malformed"),
    "no HTTP": (web.garbage(), "malformed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_answer_that_is_no_better_changes_nothing(site: Site, server: Web, case: str) -> None:
    """It is logged with its flaw; the last good CRL stays, and the next good one comes into force."""
    failing, flaw, words = REFUSED[case]
    answers = web.body(site.crl(5, 1)), failing(site), web.body(site.crl(6, 1))
    server.answers["/ca.crl"] = web.in_turn(*answers)

    async def work(stage: Stage) -> None:
        stage.refresh.hurry()
        line = await stage.line("crl.refused")
        assert (line["level"], line["bundle"], line["source"]) == ("warning", "cdn", server.url())
        assert line["fault"] == flaw
        assert words in line["detail"]
        assert (stage.numbers, stage.generation) == ([(5, 1)], 1)
        stage.refresh.hurry()
        await stage.until(lambda: stage.numbers == [(6, 1)])
        assert stage.metrics.crl_fetches["cdn", server.url()].outcomes == {
            "updated": 2, "unchanged": 0, "refused": 1, "failed": 0,
        }  # fmt: skip

    site.run(work)


@pytest.mark.parametrize("case", FAILED)
def test_a_failing_server_changes_nothing(tmp_path: Path, offload: Offload, server: Web, case: str) -> None:
    """It is logged, and asked again, first soon, then later."""
    site = make_site(tmp_path, offload, sources=[server.url()], refresh=NEVER, timeout="1s", max_size="64KiB")
    answer, fault = FAILED[case]
    server.answers["/ca.crl"] = web.in_turn(web.body(site.crl(5, 1)), answer)

    async def work(stage: Stage) -> dict[str, Any]:
        stage.refresh.hurry()
        line = await stage.line("crl.failed")
        assert stage.numbers == [(5, 1)]
        return line

    line = site.run(work)
    assert line["fault"] == fault
    assert (line["failures"], line["source"]) == (1, server.url())
    assert 1 <= line["retry_in"] <= 2
    assert line["next_update"].endswith("Z")


def test_a_dead_server_is_asked_again_by_itself(site: Site, server: Web) -> None:
    """As soon as it is there again the newer CRL comes into force."""
    server.answers["/ca.crl"] = web.in_turn(web.body(site.crl(5)), web.body(site.crl(6)))

    async def work(stage: Stage) -> None:
        server.close()
        stage.refresh.hurry()
        assert (await stage.line("crl.failed"))["fault"] == "unreachable"
        assert stage.numbers == [(5, 0)]
        server.restart()
        await stage.until(lambda: stage.numbers == [(6, 0)])

    site.run(work)


def test_another_key_of_the_ca_leaves_its_last_crl_in_use(tmp_path: Path, offload: Offload, server: Web) -> None:
    """Certificates that the old key signed have nothing else, until it is out of date."""
    site = make_site(tmp_path, offload, sources=[server.url()])
    other = Authority.root("CDN CA")
    other.write(tmp_path / "other.pem")
    (tmp_path / "cdn.pem").write_bytes((tmp_path / "cdn.pem").read_bytes() + (tmp_path / "other.pem").read_bytes())
    server.answers["/ca.crl"] = web.in_turn(web.body(site.crl(5, 1)), web.body(site.crl(1, 2, 3, by=other)))

    async def work(stage: Stage) -> None:
        stage.refresh.hurry()
        await stage.until(lambda: stage.numbers == [(1, 2), (5, 1)])

    site.run(work)


def test_without_its_issuer_at_hand_a_crl_is_used_beside_the_last_one(site: Site, server: Web) -> None:
    """Clients bring the issuer, and the judge takes the newest that it has signed."""
    issuing, forger = site.cdn.intermediate("Issuing"), Authority.root("Issuing")
    server.answers["/ca.crl"] = web.in_turn(
        web.body(site.crl(5, 1, by=issuing)), web.body(site.crl(9, by=forger)), web.body(site.crl(6, 1, by=issuing))
    )  # fmt: skip

    async def work(stage: Stage) -> None:
        assert (await stage.line("crl.updated"))["verified"] is False
        stage.refresh.hurry()
        await stage.until(lambda: stage.numbers == [(9, 0), (5, 1)])
        stage.refresh.hurry()
        await stage.until(lambda: stage.numbers[0] == (6, 1))

    site.run(work)


# --- from one start to the next


def test_a_start_without_network_has_the_last_good_ones(site: Site, server: Web) -> None:
    """With their deltas, and without waiting for anybody."""
    server.answers["/ca.crl"] = web.body(site.crl(5, 1, 2), '"five"')

    async def nothing(stage: Stage) -> None:
        assert stage.numbers == [(5, 2)]

    site.run(nothing)
    server.close()

    async def work(stage: Stage) -> None:
        assert stage.numbers == [(5, 2)]
        assert (await stage.line("crl.restored"))["crl_number"] == "5"
        await stage.line("crl.failed")
        assert stage.numbers == [(5, 2)]

    site.run(work, strict=True)
    server.restart()

    async def unchanged(stage: Stage) -> None:
        await asyncio.to_thread(server.wait_for, "/ca.crl", 2)
        assert stage.numbers == [(5, 2)]

    site.run(unchanged)
    assert server.seen[1].header("if-none-match") == '"five"'


def test_an_older_crl_is_refused_after_a_restart_too(site: Site, server: Web) -> None:
    """What was kept says which number is the newest."""
    server.answers["/ca.crl"] = web.in_turn(web.body(site.crl(5, 1)), web.body(site.crl(4)))

    async def nothing(stage: Stage) -> None:
        assert stage.numbers == [(5, 1)]

    async def work(stage: Stage) -> None:
        assert (await stage.line("crl.refused"))["fault"] == "replayed"
        assert stage.numbers == [(5, 1)]

    site.run(nothing)
    site.run(work)


def test_what_was_kept_and_is_damaged_is_fetched_anew(site: Site, server: Web) -> None:
    """It is never used, and the log says so."""
    server.answers["/ca.crl"] = web.in_turn(web.body(site.crl(5, 1)), web.body(site.crl(6)))

    async def five(stage: Stage) -> None:
        assert stage.numbers == [(5, 1)]

    async def six(stage: Stage) -> None:
        assert stage.numbers == [(6, 0)]
        line = await stage.line("crl.refused")
        assert (line["fault"], line["source"]) == ("malformed", server.url())
        assert line["detail"].startswith("what was kept is damaged, or cannot be read: ")

    site.run(five)
    (kept,) = (site.folder / "cache").glob("*.fetched-crl")
    kept.write_bytes(kept.read_bytes()[:-1] + b"\0")
    site.run(six)


def test_a_reload_with_an_address_that_brings_nothing_is_refused(site: Site) -> None:
    """And says why; a start goes on, refuses clients, and asks again."""

    async def work(stage: Stage) -> None:
        assert stage.numbers == []
        assert (await stage.line("crl.failed"))["fault"] == "http-status"

    with pytest.raises(ConfigError, match=r"the CRL at .* cannot be had, and none was kept: http-status: answered 404"):
        site.run(work, strict=True)
    site.run(work)


def test_a_generation_that_cannot_be_put_in_force_is_tried_again(site: Site, server: Web) -> None:
    """With the next attempt, whatever it brings."""
    server.answers["/ca.crl"] = web.in_turn(web.body(site.crl(5)), web.body(site.crl(6), '"six"'))

    async def work(stage: Stage) -> None:
        stage.fail = True
        stage.refresh.hurry()
        assert (await stage.line("crl.failed"))["fault"] == "unpublished"
        assert stage.numbers == [(5, 0)]
        stage.fail = False
        stage.refresh.hurry()
        await stage.until(lambda: stage.numbers == [(6, 0)])

    site.run(work)


# --- what certificates name


@pytest.fixture
def named(tmp_path: Path, offload: Offload) -> Site:
    """Write a configuration that follows certificates."""
    return make_site(tmp_path, offload, sources=["cdp"], allow_hosts=["localhost:1", "*.example"])


def test_a_crl_that_a_certificate_names_comes_into_force_and_is_told_of(
    tmp_path: Path, offload: Offload, server: Web
) -> None:
    """Many ask, one request is made; from then on it is refreshed like others."""
    site = following(tmp_path, offload, server)
    asked = need(site, server.url())
    server.answers["/ca.crl"] = web.in_turn(web.body(site.crl(5, 1)), web.body(site.crl(6, 1, 2)))

    async def work(stage: Stage) -> None:
        for _ in range(10):
            stage.refresh.ask([asked])
        await stage.until(lambda: stage.settled)
        assert stage.numbers == [(5, 1)]
        assert stage.settled == [{asked.key: Settled(None, asked.fingerprint)}]
        assert server.count("/ca.crl") == 1
        stage.refresh.ask([asked])
        await stage.until(lambda: len(stage.settled) == 2)
        stage.refresh.hurry()
        await stage.until(lambda: stage.numbers == [(6, 2)])

    site.run(work)


def test_whoever_asks_while_it_is_put_in_force_waits_for_that(tmp_path: Path, offload: Offload, server: Web) -> None:
    """To tell them earlier that it is there would have them ask again at once, and again."""
    site = following(tmp_path, offload, server)
    asked = need(site, server.url())
    server.answers["/ca.crl"] = web.body(site.crl(5, 1))

    async def work(stage: Stage) -> None:
        stage.go = asyncio.Event()
        stage.refresh.ask([asked])
        await stage.until(lambda: stage.begun)
        stage.refresh.ask([asked])
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)  # the loop has turned meanwhile
        assert stage.settled == []
        stage.go.set()
        await stage.until(lambda: stage.settled)
        assert stage.numbers == [(5, 1)]
        assert stage.settled == [{asked.key: Settled(None, asked.fingerprint)}]

    site.run(work)


def test_the_addresses_of_a_point_are_tried_in_their_order(tmp_path: Path, offload: Offload, server: Web) -> None:
    """And the CRL is known by the first."""
    site = following(tmp_path, offload, server)
    asked = need(site, server.url("/a.crl"), server.url("/b.crl"))
    server.answers |= {"/a.crl": web.status(503), "/b.crl": web.body(site.crl(5))}

    async def work(stage: Stage) -> None:
        stage.refresh.ask([asked])
        await stage.until(lambda: stage.settled)
        (bundle,) = stage.prepared.unpack_bundles()
        assert bundle.revocation is not None
        assert [file.source for file in bundle.revocation.fetched] == [server.url("/a.crl")]

    site.run(work)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda _: web.status(404), Fault.HTTP_STATUS),
        (lambda site: web.body(site.crl(1, by=Authority.root("CDN CA"))), Fault.WRONG_SIGNER),
        (lambda _: web.body(b"hello"), Fault.MALFORMED),
    ],
)
def test_whoever_waits_is_told_why_there_is_none(
    tmp_path: Path, offload: Offload, server: Web, answer: Failing, fault: Fault
) -> None:
    """And when it is worth another try."""
    site = following(tmp_path, offload, server)
    asked = need(site, server.url())
    server.answers["/ca.crl"] = answer(site)

    async def work(stage: Stage) -> Failure:
        stage.refresh.ask([asked])
        await stage.until(lambda: stage.settled)
        outcome = stage.settled[0][asked.key].outcome
        assert isinstance(outcome, Failure)
        assert stage.numbers == []
        return outcome

    outcome = site.run(work)
    assert (outcome.fault, outcome.source) == (fault, server.url())
    assert outcome.retry_at > outcome.at


def test_nobody_else_is_asked(named: Site) -> None:
    """The list is looked at once more, whoever asks."""
    asked = need(named, "http://localhost:2/ca.crl")

    async def work(stage: Stage) -> None:
        stage.refresh.ask([asked])
        await stage.until(lambda: stage.settled)
        outcome = stage.settled[0][asked.key].outcome
        assert isinstance(outcome, Failure)
        assert outcome.fault is Fault.HOST_NOT_ALLOWED

    named.run(work)
