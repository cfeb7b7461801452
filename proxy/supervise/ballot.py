"""A ballot: every worker has to have a generation before any of them puts it in force."""

from __future__ import annotations

import asyncio

from proxy.control.planes import PublishError
from proxy.supervise.process import Process


class Ballot:
    """The vote on ``generation``; ``stage`` is the packed message that asks for it."""

    def __init__(self, generation: int, stage: bytes) -> None:
        self.generation = generation
        self.stage = stage
        self._waiting: set[Process] = set()
        self._decided = asyncio.Event()
        self._complete = False
        self._problem = ""

    def ask(self, voter: Process) -> None:
        """Have a worker assemble the generation, and wait for its vote."""
        self._waiting.add(voter)
        voter.channel.send_packed(self.stage)

    def vote(self, voter: Process, problem: str | None) -> None:
        """Take a vote: it is a no if there is a problem."""
        self._waiting.discard(voter)
        if problem is not None:
            self._refuse(f"worker {voter.number}: {problem}")
        self._count()

    def leave(self, voter: Process, how: str) -> None:
        """Take an end for a no: the generation may be what ended it."""
        self._refuse(f"worker {voter.number} ended while the generation was made ready: {how}")

    async def outcome(self, seconds: float) -> None:
        """Wait until all who were asked have said yes. Raises PublishError at the first no, or after ``seconds``."""
        self._complete = True
        self._count()
        try:
            async with asyncio.timeout(seconds):
                await self._decided.wait()
        except TimeoutError:
            numbers = ", ".join(str(voter.number) for voter in sorted(self._waiting, key=lambda voter: voter.number))
            raise PublishError(f"no word from worker {numbers} within {seconds:g} s") from None
        if self._problem:
            raise PublishError(self._problem)

    def _refuse(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._decided.set()

    def _count(self) -> None:
        if self._complete and not self._waiting:
            self._decided.set()
