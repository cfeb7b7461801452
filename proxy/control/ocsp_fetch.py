"""OCSP: questions to responders beside the traffic, each asked once however many wait for it.

A question is looked up among the saved answers, waits for its turn at its responder, and is asked there; where that
brings nothing, at the next address that its certificate names. Every question ends in ``settle``, with a verified
answer or a failure that says when to ask again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

from proxy.control.fetch import Fetcher
from proxy.control.ocsp_exchange import Exchange, Received
from proxy.control.ocsp_report import Report
from proxy.control.ocsp_responder import MAX_PER_RESPONDER, Question
from proxy.control.ocsp_saved import SavedAnswers
from proxy.control.ocsp_turns import MAX_IN_FLIGHT, MAX_PROBES, Turns
from proxy.control.planes import Settled
from proxy.decide.peer.answers import Answers, Failure, Fault, Outcome, Unusable
from proxy.decide.peer.needs import OcspNeed
from proxy.decide.peer.ocsp.response import ends_at
from proxy.decide.text import printable
from proxy.snapshot.cache import Cache

MAX_OPEN: Final = 5_000
"""Questions that have not ended yet, 2 KB each; beyond it they fail at once."""

RECENT: Final = 0.5
"""Seconds for which an answer is not asked for again: several processes may need it at once. A bundle's least refresh
is twice as long."""

FIRST_RETRY: Final = 5.0
"""Seconds after which a question that failed may be asked again; each further failure doubles them."""

MAX_RETRY: Final = 60.0
"""The same, at most: how long a client may be refused that a responder would answer for by now."""

SPREAD: Final = 0.25
"""Part of that time that is added by chance of the need's key, so that not all are due at once."""

CLOSE_SECONDS: Final = 2.0
"""For the last responses to be written at the end."""

MAX_DETAIL: Final = 512
"""Characters of a failure: up to four addresses, and what was wrong with each."""


Settle = Callable[[Mapping[bytes, Settled]], None]
"""Tells whoever waits how needs ended."""


def open_ocsp(
    roots: str, cache: Cache | None, answers: Answers, settle: Settle, report: Report
) -> OcspFetch:
    """Make what asks responders, with a fetcher of its own, where no long CRL takes a turn from a question.

    ``roots`` is the PEM text of the roots of https responders. It has to be closed.
    """
    fetcher = Fetcher(roots, max_at_once=MAX_IN_FLIGHT + MAX_PROBES, max_per_host=MAX_PER_RESPONDER + 1)
    saved = SavedAnswers(cache) if cache is not None and cache.lasting else None
    return OcspFetch(fetcher, answers, settle, report, saved=saved)


class OcspFetch:
    """Asks responders over ``fetcher``, and passes outcomes to ``settle``, never within ``ask``.

    ``answers`` is what is known so far; ``settle`` has to put there what it gets. ``saved`` is None where there is no
    cache. ``clock`` gives Unix seconds. Make it in the loop that it works in. Closing it closes ``fetcher``, too.
    """

    def __init__(
        self, fetcher: Fetcher, answers: Answers, settle: Settle, report: Report,
        *, saved: SavedAnswers | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._fetcher = fetcher
        self._answers = answers
        self._settle = settle
        self._report = report
        self._saved = saved
        self._clock = clock
        exchange = Exchange(fetcher, clock, self._loop.time)
        self._turns = Turns(exchange, report, lambda need: answers.find(need.key).answer, self._ended)
        self._open: dict[bytes, Question] = {}
        self._told: list[tuple[bytes, Settled]] = []
        self._lookups: set[asyncio.Task[None]] = set()
        self._saves: set[asyncio.Task[None]] = set()
        report.metrics.answers = lambda: len(answers)

    def ask(self, needs: Iterable[OcspNeed]) -> None:
        """Take questions; each ends in ``settle`` under its key. One that is under way already is not asked twice."""
        for need in needs:
            if need.key not in self._open:
                self._take(need)
        self._turns.dispatch()

    async def close(self) -> None:
        """Give up everything that is under way, but what is being saved."""
        await self._turns.close()
        if self._saves:
            await asyncio.wait(self._saves, timeout=CLOSE_SECONDS)
        tasks = self._lookups | self._saves
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._saved is not None:
            self._saved.close()
        await self._fetcher.close()

    def _take(self, need: OcspNeed) -> None:
        known, now = self._answers.find(need.key), self._clock()
        answer = known.answer if known.answer is not None and now < ends_at(known.answer, need.max_age) else None
        if answer is not None:  # known here, but perhaps not to who asks, in another process
            self._tell(need, answer)
        if known.failure is not None and now < known.failure.retry_at:
            self._tell(need, known.failure)
            return
        if answer is not None and now - answer.fetched_at < RECENT:
            return
        question = Question(need, self._loop.time(), deque(need.urls))
        if len(self._open) >= MAX_OPEN:
            self._fail(question, Unusable(Fault.BUSY, f"{MAX_OPEN} questions are open already"), need.urls[0])
            return
        self._open[need.key] = question
        if self._saved is not None and known.answer is None and known.failure is None:
            self._start(self._look_up(self._saved, question), self._lookups)
        else:
            self._turns.queue(question)

    async def _look_up(self, saved: SavedAnswers, question: Question) -> None:
        answer = await saved.find(question.need, self._clock())
        if answer is None:
            self._turns.queue(question)
            self._turns.dispatch()
        else:
            self._report.metrics.restored += 1
            self._end(question.need, answer)

    def _ended(self, question: Question, received: Received | None) -> None:
        """Pass on a response; without one, what was wrong with each address, and that of the first that was asked."""
        if received is None:
            asked = [pair for pair in question.faults if pair[1].fault is not Fault.BUSY]
            url, main = (asked or question.faults)[0]
            rest = [f"{other}: {fault.detail}" for other, fault in question.faults if fault is not main]
            self._fail(question, Unusable(main.fault, "; ".join((main.detail, *rest))), url)
            return
        self._report.answered(question.need, self._answers.find(question.need.key).answer, received.answer)
        self._end(question.need, received.answer)
        if self._saved is not None:
            self._start(self._save(self._saved, question.need, received), self._saves)

    def _fail(self, question: Question, fault: Unusable, url: str) -> None:
        need, now = question.need, self._clock()
        before = self._answers.find(need.key).failure
        wait = FIRST_RETRY if before is None else min(2 * (before.retry_at - before.at), MAX_RETRY)
        wait *= 1 + SPREAD * need.key[0] / 255
        self._report.metrics.unasked += fault.fault is Fault.BUSY
        self._end(need, Failure(fault.fault, printable(fault.detail, MAX_DETAIL), url, now, now + wait))

    async def _save(self, saved: SavedAnswers, need: OcspNeed, received: Received) -> None:
        try:
            done = await saved.save(need, received.answer, received.der)
        except OSError as fault:
            self._report.unsaved(fault)
        else:
            self._report.saved(done=done)

    def _end(self, need: OcspNeed, outcome: Outcome) -> None:
        self._open.pop(need.key, None)
        self._tell(need, outcome)

    def _tell(self, need: OcspNeed, outcome: Outcome) -> None:
        if not self._told:
            self._loop.call_soon(self._flush)
        self._told.append((need.key, Settled(outcome, need.fingerprint)))

    def _flush(self) -> None:
        """Settle what has ended, in the order in which it did."""
        told, self._told = self._told, []
        batch: dict[bytes, Settled] = {}
        for key, settled in told:
            if key in batch:
                self._settle(batch)
                batch = {}
            batch[key] = settled
        self._settle(batch)

    def _start(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        task = self._loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
