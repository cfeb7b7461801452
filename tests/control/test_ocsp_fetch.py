"""OCSP over real sockets: each question ends in a verified answer or a failure of its kind, asked once for all."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from proxy.control.ocsp_fetch import FIRST_RETRY, MAX_RETRY, RECENT, SPREAD
from proxy.control.ocsp_responder import MAX_PER_RESPONDER
from proxy.decide.peer.answers import Answer, Failure, Fault, Outcome, Status
from proxy.decide.peer.needs import Nonce
from proxy.snapshot.cache import open_cache
from tests.support import web
from tests.support.asker import Asker, asking, lines
from tests.support.certificates import DAY, NOW, make_ca, make_leaf
from tests.support.ocsp import GOOD, HOUR, REVOKED, UNKNOWN, make_delegate, unsuccessful
from tests.support.responder import Behaviour, Responder, cut_short, does, only, says, sends

CA: Final = make_ca()
OTHER: Final = make_ca("Other CA")
LEAF: Final = make_leaf(CA)
STRANGER: Final = make_leaf(CA, "stranger")
DELEGATE: Final = make_delegate(CA)
SHORT: Final = 0.3
"""Seconds of a question that is to time out."""


def outcome_of(behaviour: Behaviour, folder: Path, nonce: Nonce = Nonce.ASK, timeout: float = 10.0) -> Outcome:
    """Ask a responder of that behaviour once."""
    with Responder(CA, LEAF) as responder:
        responder.does = behaviour
        need = responder.need(LEAF, nonce=nonce, timeout=timeout)

        async def work(asker: Asker) -> Outcome:
            (outcome,) = await asker.ask(need)
            return outcome

        return asking(work, folder)


def status_of(outcome: Outcome) -> Status:
    """Return what an answer says."""
    assert isinstance(outcome, Answer), outcome
    return outcome.status


def fault_of(outcome: Outcome) -> Fault:
    """Return why there is no answer."""
    assert isinstance(outcome, Failure), outcome
    return outcome.fault


@pytest.mark.parametrize("nonce", list(Nonce))
@pytest.mark.parametrize("status", [GOOD, REVOKED, UNKNOWN])
def test_an_answer_is_verified_and_told(tmp_path: Path, status: str, nonce: Nonce) -> None:
    """Whatever it says, and whichever way it came."""
    outcome = outcome_of(says(status), tmp_path, nonce)
    assert status_of(outcome) == status
    assert isinstance(outcome, Answer)
    assert (outcome.fetched_at, outcome.this_update) == (NOW, NOW - HOUR)


def test_a_delegate_may_answer(tmp_path: Path) -> None:
    """Its certificate comes with the response."""
    assert status_of(outcome_of(says(signer=DELEGATE), tmp_path)) is Status.GOOD


FAULTS: Final = {
    "silent": (does(web.silence()), Fault.TIMED_OUT),
    "dripping": (does(web.drip(bytes(2000))), Fault.TIMED_OUT),
    "hanging up": (does(web.hang_up()), Fault.UNREACHABLE),
    "cut off": (does(web.cut(b"\x30\x82")), Fault.UNREACHABLE),
    "500": (does(web.status(500)), Fault.HTTP_STATUS),
    "a page": (sends(b"<html>", "text/html"), Fault.HTTP_STATUS),
    "elsewhere": (does(web.redirect("http://localhost:1/")), Fault.REDIRECTED),
    "huge": (does(web.endless()), Fault.TOO_LARGE),
    "compressed": (does(web.bomb(1_000_000)), Fault.MALFORMED),
    "no HTTP": (does(web.garbage()), Fault.MALFORMED),
    "truncated DER": (cut_short(), Fault.MALFORMED),
    "empty": (sends(b""), Fault.MALFORMED),
    "malformedRequest": (sends(unsuccessful(1)), Fault.RESPONDER_ERROR),
    "tryLater": (sends(unsuccessful(3)), Fault.RESPONDER_ERROR),
    "unauthorized": (sends(unsuccessful(6)), Fault.RESPONDER_ERROR),
    "another certificate": (says(about=STRANGER), Fault.OTHER_CERTIFICATE),
    "another nonce": (says(nonce=b"n" * 32), Fault.WRONG_NONCE),
    "another signer": (says(signer=OTHER), Fault.WRONG_SIGNER),
    "a client as signer": (says(signer=STRANGER), Fault.WRONG_SIGNER),
    "a delegate unseen": (says(signer=DELEGATE, certificates=False), Fault.WRONG_SIGNER),
    "expired": (says(age=2 * DAY, life=-DAY), Fault.STALE),
    "of tomorrow": (says(age=-DAY, life=2 * DAY), Fault.NOT_YET_VALID),
}


@pytest.mark.parametrize("case", FAULTS)
def test_every_failure_has_its_kind_and_its_line(tmp_path: Path, case: str) -> None:
    """A responder that fails in one way is told apart from one that fails otherwise, and the log says how."""
    behaviour, fault = FAULTS[case]
    timeout = SHORT if fault is Fault.TIMED_OUT else 10.0
    outcome = outcome_of(behaviour, tmp_path, timeout=timeout)
    assert fault_of(outcome) is fault
    assert isinstance(outcome, Failure)
    assert outcome.detail
    assert FIRST_RETRY <= outcome.retry_at - NOW <= FIRST_RETRY * (1 + SPREAD)
    (line,) = lines(tmp_path, ["ocsp.failed"])
    assert (line["ocsp_fault"], line["source"]) == (fault, outcome.source)
    assert line["detail"]
    assert line["fingerprint"] == f"sha256:{LEAF.certificate.fingerprint}"


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    """A refused connection fails at once."""
    responder = Responder(CA, LEAF)
    need = responder.need(LEAF)
    responder.close()

    async def work(asker: Asker) -> Outcome:
        return (await asker.ask(need))[0]

    assert fault_of(asking(work, tmp_path)) is Fault.UNREACHABLE


# --- the ways to ask


@pytest.mark.parametrize(
    ("nonce", "behaviour", "methods"),
    [
        (Nonce.OFF, says(), ["GET"]),
        (Nonce.OFF, only("POST", says()), ["GET", "POST"]),
        (Nonce.OFF, only("POST", says(), otherwise=says(age=2 * DAY, life=-DAY)), ["GET", "POST"]),
        (Nonce.ASK, says(), ["POST"]),
        (Nonce.ASK, says(echo=False), ["POST"]),
        (Nonce.ASK, only("GET", says()), ["POST", "GET"]),
        (Nonce.ASK, only("GET", says(), otherwise=sends(unsuccessful(1))), ["POST", "GET"]),
        (Nonce.REQUIRE, only("GET", says()), ["POST", "GET"]),
    ],
)
def test_the_way_that_a_responder_takes_is_found_and_kept(
    tmp_path: Path, nonce: Nonce, behaviour: Behaviour, methods: list[str]
) -> None:
    """GET where a cache may answer, POST with a nonce, the other way where that is not taken, and from then on."""
    with Responder(CA, LEAF, STRANGER) as responder:
        responder.does = behaviour
        needs = [responder.need(leaf, nonce=nonce) for leaf in (LEAF, STRANGER)]

        async def work(asker: Asker) -> list[Outcome]:
            return [(await asker.ask(need))[0] for need in needs]

        assert [status_of(outcome) for outcome in asking(work, tmp_path)] == [Status.GOOD, Status.GOOD]
        assert [asked.method for asked in responder.asked] == [*methods, methods[-1]]
        assert {asked.nonce is None for asked in responder.asked if asked.method == "POST"} <= {nonce is Nonce.OFF}


def test_a_required_nonce_has_to_come_back(tmp_path: Path) -> None:
    """An answer without it may be an old one."""
    assert fault_of(outcome_of(says(echo=False), tmp_path, Nonce.REQUIRE)) is Fault.WRONG_NONCE


def test_nonces_are_never_used_twice(tmp_path: Path) -> None:
    """32 octets of chance each (RFC 9654)."""
    with Responder(CA, LEAF, STRANGER) as responder:
        needs = [responder.need(leaf) for leaf in (LEAF, STRANGER)]
        asking(lambda asker: asker.ask(*needs), tmp_path)
        nonces = {asked.nonce for asked in responder.asked}
        assert len(nonces) == 2
        assert {len(nonce or b"") for nonce in nonces} == {32}


def test_the_next_address_is_asked_where_the_first_fails(tmp_path: Path) -> None:
    """A certificate may name several; the failure names what was wrong with each."""
    with Responder(CA, LEAF) as first, Responder(CA, LEAF, STRANGER) as second:
        first.does = does(web.status(503))
        one, two = first.need(LEAF, second.address), first.need(STRANGER, second.address)

        async def work(asker: Asker) -> list[Outcome]:
            outcomes = await asker.ask(one)
            second.does = says(signer=OTHER)
            return outcomes + await asker.ask(two)

        good, failed = asking(work, tmp_path)
        assert isinstance(good, Answer)
        assert good.source == second.address
        assert isinstance(failed, Failure)
        assert (failed.fault, failed.source) == (Fault.HTTP_STATUS, first.address)
        assert f"; {second.address}: " in failed.detail


# --- once for all


def test_a_question_is_asked_once_however_many_wait(tmp_path: Path) -> None:
    """Connections of one client that come together share one request."""
    with Responder(CA, LEAF) as responder:
        need = responder.need(LEAF)

        async def work(asker: Asker) -> list[Outcome]:
            for _ in range(100):
                asker.fetch.ask([need])
            return await asker.ask(need)

        assert status_of(asking(work, tmp_path)[0]) is Status.GOOD
        assert len(responder.asked) == 1


def test_what_is_known_is_told_to_who_comes_later(tmp_path: Path) -> None:
    """Another process asks what this one has just learned; and a failure is not tried again before its time."""
    with Responder(CA, LEAF, STRANGER) as responder:
        good, bad = responder.need(LEAF), responder.need(STRANGER)

        async def work(asker: Asker) -> None:
            await asker.ask(good)
            responder.does = sends(unsuccessful(6))
            await asker.ask(bad)
            asked = len(responder.asked)
            first = dict(asker.told)
            assert await asker.ask(good, bad) == [first[good.key], first[bad.key]]
            assert len(responder.asked) == asked
            asker.now += RECENT
            assert isinstance((await asker.ask(good))[0], Answer)
            await asker.until(lambda: len(asker.outcomes(good)) == 4)

        asking(work, tmp_path)


def test_a_failed_question_is_asked_again_later_and_later(tmp_path: Path) -> None:
    """Its time doubles up to a limit, and an answer starts it anew."""
    with Responder(CA, LEAF) as responder:
        responder.does = sends(unsuccessful(3))
        need = responder.need(LEAF)

        async def work(asker: Asker) -> list[float]:
            waits = []
            for _ in range(6):
                (failure,) = await asker.ask(need)
                assert isinstance(failure, Failure)
                waits.append((failure.retry_at - failure.at) / FIRST_RETRY)
                asker.now = failure.retry_at
            return waits

        waits = asking(work, tmp_path)
        assert waits == sorted(waits)
        assert waits[1] >= 2 * waits[0]
        assert waits[-1] <= MAX_RETRY * (1 + SPREAD) / FIRST_RETRY


# --- what an answer may replace


def test_a_replayed_answer_never_replaces_a_newer_one(tmp_path: Path) -> None:
    """Whoever sends an old `good` again after a revocation is found out, and the log says so."""
    with Responder(CA, LEAF) as responder:
        need = responder.need(LEAF, nonce=Nonce.OFF)
        responder.does = says(REVOKED, age=60.0)

        async def work(asker: Asker) -> None:
            assert status_of((await asker.ask(need))[0]) is Status.REVOKED
            responder.does = says(GOOD, age=HOUR)
            asker.now += RECENT
            asker.fetch.ask([need])
            await asker.until(lambda: isinstance(asker.told[-1][1], Failure))
            known = asker.answers.find(need.key)
            assert known.answer is not None
            assert known.answer.status is Status.REVOKED
            assert fault_of(known.failure) is Fault.REPLAYED

        asking(work, tmp_path)
        (line,) = lines(tmp_path, ["ocsp.failed"])
        assert "older than what is known: revoked" in line["detail"]


def test_a_changed_status_is_a_line(tmp_path: Path) -> None:
    """One, with the certificate and what it was before; a renewed answer of the same status is none."""
    with Responder(CA, LEAF) as responder:
        need = responder.need(LEAF)

        async def work(asker: Asker) -> None:
            for behaviour in (says(age=3 * HOUR), says(age=2 * HOUR), says(REVOKED, age=HOUR)):
                responder.does = behaviour
                asked = len(asker.told)
                asker.fetch.ask([need])
                await asker.until(lambda asked=asked: len(asker.told) > asked + bool(asked))  # type: ignore[misc]
                asker.now += RECENT

        asking(work, tmp_path)
        (line,) = lines(tmp_path)
        assert (line["event"], line["before"], line["status"]) == ("ocsp.status-changed", "good", "revoked")
        assert line["fingerprint"] == f"sha256:{LEAF.certificate.fingerprint}"


# --- a responder that is down


def test_a_silent_responder_costs_its_time_out_once(tmp_path: Path) -> None:
    """Those who wait for their turn fail with the first; who comes later fails at once, and nobody asks but a probe."""
    with Responder(CA) as responder:
        responder.does = does(web.silence())
        leaves = [make_leaf(CA, key=LEAF.key) for _ in range(40)]
        needs = [responder.need(leaf, timeout=SHORT) for leaf in leaves]

        async def work(asker: Asker) -> None:
            early = await asker.ask(*needs[:30])
            faults = [fault_of(outcome) for outcome in early]
            assert faults == [Fault.TIMED_OUT] * MAX_PER_RESPONDER + [Fault.BUSY] * (30 - MAX_PER_RESPONDER)
            asked = len(responder.asked)
            late = await asker.ask(*needs[30:])
            assert {fault_of(outcome) for outcome in late} == {Fault.BUSY}
            assert isinstance(late[0], Failure)
            assert "left alone" in late[0].detail
            assert "timed-out" in late[0].detail
            assert len(responder.asked) == asked == MAX_PER_RESPONDER
            assert asker.metrics.responders[f"localhost:{responder.port}"].left_alone
            assert asker.metrics.unasked == 40 - MAX_PER_RESPONDER
            responder.does = says()
            await asker.until(lambda: isinstance(asker.told[-1][1], Answer))
            assert not asker.metrics.responders[f"localhost:{responder.port}"].left_alone
            assert len(responder.asked) == asked + 1, "the probe"
            fresh = responder.need(make_leaf(CA, key=LEAF.key))
            assert status_of((await asker.ask(fresh))[0]) is Status.GOOD

        asking(work, tmp_path)
        assert [line["event"] for line in lines(tmp_path)] == ["ocsp.failed", "ocsp.recovered"]


def test_quick_failures_are_tried_three_times(tmp_path: Path) -> None:
    """One is chance; three in a row are a responder that is left alone."""
    with Responder(CA) as responder:
        responder.does = does(web.status(503))
        needs = [responder.need(make_leaf(CA, key=LEAF.key)) for _ in range(5)]

        async def work(asker: Asker) -> list[Fault]:
            return [fault_of((await asker.ask(need))[0]) for need in needs]

        assert asking(work, tmp_path) == [Fault.HTTP_STATUS] * 3 + [Fault.BUSY] * 2
        assert len(lines(tmp_path, ["ocsp.failed"])) == 1


# --- on disk


def test_a_restart_without_network_has_the_saved_answers(tmp_path: Path) -> None:
    """Good and revoked ones, as old as they were; no responder is asked."""
    cache = open_cache(tmp_path / "cache")
    with Responder(CA, LEAF, STRANGER) as responder:
        good, bad = responder.need(LEAF), responder.need(STRANGER)

        async def first(asker: Asker) -> list[Outcome]:
            outcomes = await asker.ask(good)
            responder.does = says(REVOKED)
            outcomes += await asker.ask(bad)
            return outcomes

        before = asking(first, tmp_path, cache)

    async def second(asker: Asker) -> list[Outcome]:
        asker.now = NOW + HOUR
        outcomes = await asker.ask(good, bad)
        assert asker.metrics.restored == 2
        return outcomes

    assert asking(second, tmp_path, cache) == before


def test_a_saved_answer_that_is_over_is_asked_for_anew(tmp_path: Path) -> None:
    """But a revocation counts for ever."""
    cache = open_cache(tmp_path / "cache")
    with Responder(CA, LEAF, STRANGER) as responder:
        good, bad = responder.need(LEAF), responder.need(STRANGER)

        async def first(asker: Asker) -> None:
            await asker.ask(good)
            responder.does = says(REVOKED)
            await asker.ask(bad)

        asking(first, tmp_path, cache)
        responder.does = sends(unsuccessful(3))

        async def second(asker: Asker) -> list[Outcome]:
            asker.now = NOW + 5 * DAY
            return await asker.ask(good, bad)

        stale, revoked = asking(second, tmp_path, cache)
        assert fault_of(stale) is Fault.RESPONDER_ERROR
        assert status_of(revoked) is Status.REVOKED


# --- many


def test_ten_thousand_certificates_and_a_dead_responder(tmp_path: Path) -> None:
    """All settle with the first time-out; no more are asked than one responder may be at a time."""
    with Responder(CA) as responder:
        responder.does = does(web.silence())
        leaf = responder.need(LEAF, timeout=SHORT)
        needs = [type(leaf)(**{**vars(leaf), "fingerprint": f"{number:064x}"}) for number in range(10_000)]
        peaks = []

        async def work(asker: Asker) -> None:
            for at in range(0, len(needs), 500):
                asker.fetch.ask(needs[at : at + 500])
                peaks.append((asker.metrics.in_flight, asker.metrics.waiting))
            await asker.until(lambda: len(asker.told) >= len(needs))
            assert len({key for key, _ in asker.told}) == len(needs)
            assert {fault_of(outcome) for _, outcome in asker.told} == {Fault.TIMED_OUT, Fault.BUSY}
            assert len(responder.asked) == MAX_PER_RESPONDER

        asking(work, tmp_path)
        assert max(in_flight for in_flight, _ in peaks) == MAX_PER_RESPONDER
        assert max(waiting for _, waiting in peaks) == 2_000
