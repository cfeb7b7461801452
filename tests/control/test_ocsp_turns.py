"""Turns: few questions at a time, each responder by itself, and no responder at another's cost."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from proxy.control import ocsp_turns
from proxy.control.ocsp_responder import MAX_PER_RESPONDER
from proxy.control.ocsp_turns import MAX_IN_FLIGHT
from proxy.decide.peer.answers import Answer, Failure, Fault
from tests.support import web
from tests.support.asker import Asker, asking, lines
from tests.support.certificates import make_ca, make_leaf
from tests.support.harness import PATIENCE
from tests.support.responder import Asked, Behaviour, Responder, does, says
from tests.support.web import Answer as Act
from tests.support.web import Call

CA: Final = make_ca()
KEY: Final = make_leaf(CA).key
SHORT: Final = 0.3


def held(gate: threading.Event, then: Behaviour) -> Behaviour:
    """Answer when the gate opens."""

    def behave(responder: Responder, asked: Asked) -> Act:
        def answer(call: Call) -> None:
            assert gate.wait(PATIENCE)
            then(responder, asked)(call)

        return answer

    return behave


def test_no_more_are_asked_at_a_time_than_may_be(tmp_path: Path) -> None:
    """By one responder, and in all; the rest waits and is answered in its turn."""
    gate = threading.Event()
    with ExitStack() as stack:
        responders = [stack.enter_context(Responder(CA)) for _ in range(6)]
        for responder in responders:
            responder.does = held(gate, says())
        needs = [one.need(make_leaf(CA, key=KEY)) for one in responders for _ in range(MAX_PER_RESPONDER + 2)]

        async def work(asker: Asker) -> None:
            asker.fetch.ask(needs)
            full = MAX_IN_FLIGHT // MAX_PER_RESPONDER
            for responder in responders[:full]:
                await asyncio.to_thread(responder.wait_asked, 1)
            assert (asker.metrics.in_flight, asker.metrics.waiting) == (MAX_IN_FLIGHT, len(needs) - MAX_IN_FLIGHT)
            gate.set()
            await asker.until(lambda: len(asker.told) == len(needs))
            assert all(isinstance(outcome, Answer) for _, outcome in asker.told)
            assert (asker.metrics.in_flight, asker.metrics.waiting) == (0, 0)

        asking(work, tmp_path)


def test_a_slow_responder_holds_up_nobody_elses_questions(tmp_path: Path) -> None:
    """Its own wait, or fail as busy when they have waited for as long as an answer may take."""
    gate = threading.Event()
    with Responder(CA) as slow, Responder(CA) as quick:
        slow.does = held(gate, says())
        stuck = [slow.need(make_leaf(CA, key=KEY)) for _ in range(MAX_PER_RESPONDER)]
        behind = slow.need(make_leaf(CA, key=KEY), timeout=0.0)
        free = quick.need(make_leaf(CA, key=KEY))

        async def work(asker: Asker) -> None:
            asker.fetch.ask([*stuck, behind])
            assert isinstance((await asker.ask(free))[0], Answer)
            assert not asker.outcomes(stuck[0])
            gate.set()
            await asker.until(lambda: bool(asker.outcomes(behind)))
            (late,) = asker.outcomes(behind)
            assert isinstance(late, Failure)
            assert (late.fault, "waited" in late.detail) == (Fault.BUSY, True)

        asking(work, tmp_path)


def test_the_number_of_responders_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has nothing to do makes room; where all are busy, the next is not asked."""
    monkeypatch.setattr(ocsp_turns, "MAX_RESPONDERS", 2)
    gate = threading.Event()
    with ExitStack() as stack:
        one, two, three = (stack.enter_context(Responder(CA)) for _ in range(3))
        first, second, third, fourth = (r.need(make_leaf(CA, key=KEY)) for r in (one, two, three, one))

        async def work(asker: Asker) -> None:
            for need in (first, second, third):
                assert isinstance((await asker.ask(need))[0], Answer)
            assert set(asker.metrics.responders) == {f"localhost:{two.port}", f"localhost:{three.port}"}
            two.does = three.does = held(gate, says())
            asker.fetch.ask([two.need(make_leaf(CA, key=KEY)), three.need(make_leaf(CA, key=KEY))])
            (refused,) = await asker.ask(fourth)
            assert isinstance(refused, Failure)
            assert refused.fault is Fault.BUSY
            gate.set()

        asking(work, tmp_path)


def test_those_who_wait_go_elsewhere_when_a_responder_is_left_alone(tmp_path: Path) -> None:
    """A certificate that names two responders needs only one of them."""
    with Responder(CA) as dead, Responder(CA) as alive:
        dead.does = does(web.silence())
        leaves = [make_leaf(CA, key=KEY) for _ in range(20)]
        needs = [dead.need(leaf, alive.address, timeout=SHORT) for leaf in leaves]
        for leaf in leaves:
            alive.need(leaf)

        async def work(asker: Asker) -> None:
            outcomes = await asker.ask(*needs)
            assert {outcome.source for outcome in outcomes if isinstance(outcome, Answer)} == {alive.address}
            assert len(dead.asked) == MAX_PER_RESPONDER
            assert all(isinstance(outcome, Answer) for outcome in outcomes)

        asking(work, tmp_path)


def test_a_probe_that_fails_is_followed_by_a_later_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the responder answers; the log has one line when it goes and one when it comes."""
    monkeypatch.setattr("proxy.control.breaker.MAX_WAIT", 0.05)
    with Responder(CA) as responder:
        responder.does = does(web.status(503))
        needs = [responder.need(make_leaf(CA, key=KEY)) for _ in range(3)]

        async def work(asker: Asker) -> None:
            for need in needs:
                await asker.ask(need)
            asked = len(responder.asked)
            await asyncio.to_thread(responder.wait_asked, asked + 4)
            responder.does = says()
            await asker.until(lambda: isinstance(asker.told[-1][1], Answer))

        asking(work, tmp_path)
    assert [line["event"] for line in lines(tmp_path)] == ["ocsp.failed", "ocsp.recovered"]


def test_a_fault_of_ours_ends_the_question_and_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told, and the proxy asks on."""

    def broken(*_arguments: object) -> Answer:
        raise RuntimeError("nobody foresaw this")

    with Responder(CA) as responder:
        one, two = responder.need(make_leaf(CA, key=KEY)), responder.need(make_leaf(CA, key=KEY))

        async def work(asker: Asker) -> None:
            with monkeypatch.context() as patch:
                patch.setattr("proxy.control.ocsp_exchange.read_answer", broken)
                (failed,) = await asker.ask(one)
            assert isinstance(failed, Failure)
            assert failed.fault is Fault.MALFORMED
            assert isinstance((await asker.ask(two))[0], Answer)

        asking(work, tmp_path)
    fault = next(line for line in lines(tmp_path) if line["event"] == "internal.error")
    assert "nobody foresaw this" in fault["detail"]
