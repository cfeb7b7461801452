"""Turns: which responder is asked which question, and when: few at a time, each responder's own queue, none starved.

A responder that does not answer is left alone: what waits for it goes elsewhere or fails at once, and probes, which
nobody waits for, find out when it is back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from proxy.control.ocsp_exchange import Exchange, Received
from proxy.control.ocsp_report import Report
from proxy.control.ocsp_responder import Question, Responder, is_down
from proxy.decide.peer.answers import Answer, Fault, Unusable, is_replay
from proxy.decide.peer.crl.evidence import moment
from proxy.decide.peer.hosts import place_of
from proxy.decide.peer.needs import OcspNeed

MAX_IN_FLIGHT: Final = 32
"""Questions under way in all: four responders at their own limit."""

MAX_PROBES: Final = 8
"""Probes under way beside them: they must not wait for a turn behind what they are to find out."""

PROBE_AGAIN: Final = 1.0
"""Seconds that a probe is put off where there are too many."""

PROBED: Final = 3600.0
"""Seconds after its last use for which a responder is probed."""

MAX_RESPONDERS: Final = 256
"""Hosts: an allow-list with a wildcard leaves their number to those who issue certificates."""


class Turns:
    """Asks over ``exchange``, within the loop that it is made in.

    ``known`` returns the newest answer to a need, ``ended`` is told how a question ended: None is that no address is
    left. It is not told of a probe that brings nothing.
    """

    def __init__(
        self, exchange: Exchange, report: Report, known: Callable[[OcspNeed], Answer | None],
        ended: Callable[[Question, Received | None], None],
    ) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._exchange = exchange
        self._report = report
        self._known = known
        self._ended = ended
        self._responders: OrderedDict[str, Responder] = OrderedDict()
        self._in_flight = 0
        self._probes = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Give up what is under way."""
        for responder in self._responders.values():
            if responder.timer is not None:
                responder.timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- whose turn it is

    def queue(self, question: Question) -> None:
        """Queue a question at the next responder that takes it, or let it fail. A ``dispatch`` has to follow."""
        while question.urls:
            url = question.urls[0]
            responder = self._responder(url)
            if responder is None:
                question.next_url(Unusable(Fault.BUSY, f"{MAX_RESPONDERS} responders are in use already"))
                continue
            question.since = responder.asked_at = self._loop.time()
            unfit = responder.refusal()
            if unfit is None:
                responder.queue.append(question)
                self._report.metrics.waiting += 1
                return
            question.next_url(unfit)
        self._ended(question, None)

    def dispatch(self) -> None:
        """Ask what may be asked now, one responder after the other."""
        while self._in_flight < MAX_IN_FLIGHT:
            responder = next((one for one in self._responders.values() if one.has_room), None)
            if responder is None:
                return
            self._responders.move_to_end(responder.name)
            question = responder.queue.popleft()
            self._report.metrics.waiting -= 1
            if self._loop.time() - question.since > question.need.timeout:
                question.next_url(Unusable(Fault.BUSY, f"it waited {question.need.timeout:g} s for its turn"))
                self.queue(question)
            else:
                self._in_flight += 1
                self._launch(responder, question)

    def _responder(self, url: str) -> Responder | None:
        place = place_of(url)
        name = url if place is None else f"{place[1]}:{place[2]}"
        found = self._responders.get(name)
        if found is not None:
            return found
        if len(self._responders) >= MAX_RESPONDERS:
            idle = next((name for name, responder in self._responders.items() if responder.is_idle), None)
            if idle is None:
                return None
            self._forget(idle)
        made = self._responders[name] = Responder(name, self._report.responder(name))
        return made

    def _forget(self, name: str) -> None:
        del self._responders[name]
        self._report.forget(name)

    # --- asking

    def _launch(self, responder: Responder, question: Question) -> None:
        responder.in_flight += 1
        self._report.metrics.in_flight += 1
        task = self._loop.create_task(self._run(responder, question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, responder: Responder, question: Question) -> None:
        """Ask one responder one question; it goes on to the next address where that brings nothing."""
        url, started = question.urls[0], self._loop.time()
        try:
            outcome = await self._ask(question.need, url, responder)
        finally:
            self._probes -= question.probe
            self._in_flight -= not question.probe
            responder.in_flight -= 1
            self._report.metrics.in_flight -= 1
        outcome = self._unless_replayed(question.need, outcome)
        self._note(responder, question, outcome, started)
        if isinstance(outcome, Received):
            self._ended(question, outcome)
        elif not question.probe:
            question.next_url(outcome)
            self.queue(question)
        self.dispatch()

    async def _ask(self, need: OcspNeed, url: str, responder: Responder) -> Received | Unusable:
        try:
            return await self._exchange.ask(need, url, responder.way)
        except Exception as fault:  # noqa: BLE001 - a fault of ours is a failure, too: who waits must learn of it
            self._report.fault(url, fault)
            return Unusable(Fault.MALFORMED, f"the response could not be read here: {type(fault).__name__}")

    def _unless_replayed(self, need: OcspNeed, outcome: Received | Unusable) -> Received | Unusable:
        known = self._known(need)
        if known is None or isinstance(outcome, Unusable) or not is_replay(outcome.answer, known):
            return outcome
        came, newest = (f"{one.status} of {moment(one.this_update)}" for one in (outcome.answer, known))
        return Unusable(Fault.REPLAYED, f"it says {came}, and is older than what is known: {newest}")

    # --- how a responder does

    def _note(self, responder: Responder, question: Question, outcome: Received | Unusable, started: float) -> None:
        now, url = self._loop.time(), question.urls[0]
        if isinstance(outcome, Received):
            responder.metrics.asked(outcome.answer.status.value, now - started)
            responder.way = outcome.way
            self._report.up(responder, responder.answered(now))
            return
        responder.metrics.asked(outcome.fault.value, now - started)
        if not is_down(outcome.fault):
            responder.way = None
            self._report.up(responder, responder.answered(now))
            self._report.unusable(responder, question.need, url, outcome)
            return
        responder.sample, responder.sample_url = question.need, url
        self._report.down(responder, question.need, url, outcome)
        if responder.failed(outcome.fault, started, now, probe=question.probe):
            self._leave_alone(responder)

    def _leave_alone(self, responder: Responder) -> None:
        """Send those who wait elsewhere, and probe when it is time."""
        responder.metrics.left_alone = True
        at = responder.breaker.probe_at
        if responder.timer is not None:
            responder.timer.cancel()
        if at is not None:
            responder.timer = self._loop.call_at(at, self._probe, responder)
        waiting, responder.queue = responder.queue, deque()
        self._report.metrics.waiting -= len(waiting)
        for question in waiting:
            self.queue(question)

    def _probe(self, responder: Responder) -> None:
        responder.timer = None
        now = self._loop.time()
        if not responder.breaker.is_open or responder.sample is None:
            return
        if now - responder.asked_at > PROBED and not responder.in_flight:
            self._forget(responder.name)
        elif self._probes >= MAX_PROBES:
            responder.timer = self._loop.call_later(PROBE_AGAIN, self._probe, responder)
        else:
            self._probes += 1
            self._launch(responder, Question(responder.sample, now, deque((responder.sample_url,)), probe=True))
