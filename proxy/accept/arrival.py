"""An arrival: a new connection up to the end of its handshake, and not a byte further."""

from __future__ import annotations

import asyncio
import re
from typing import Final, Protocol, cast

from proxy.accept.admission import Admission
from proxy.accept.handshake import Handshake
from proxy.accept.tls import ListenerContext, Session, TlsError
from proxy.decide.request.answer import answer, status_of
from proxy.decide.verdict import Pending, Reason, Refused, Verdict

LINGER: Final = 2.0
"""Seconds that a refused client may go on sending, unheard, so that its TCP stack delivers our last word to it."""

MAX_HANDSHAKE: Final = 128 * 1024
"""Octets that a client may send before its handshake is complete; OpenSSL takes 100 KiB of certificates."""

MAX_EARLY: Final = 64 * 1024
"""Octets that a client may send before its verdict is there, then it is read no further: a head and some of a body."""

_TLS_HANDSHAKE: Final = 0x16
_HTTP: Final = re.compile(rb"[A-Z]{3,16} ")
_NOT_TLS_STATUS: Final = 400


class Door(Protocol):
    """What an arrival needs from the house, and tells it."""

    admission: Admission
    listener: ListenerContext
    handshake_timeout: float

    def now(self) -> float:
        """Return the monotonic time in seconds, as of the last tick or better."""

    def handshake(self) -> Handshake:
        """Begin a handshake under the snapshot in force."""

    def arrived(self, arrival: Arrival) -> None:
        """Take note of a new connection."""

    def judge(self, arrival: Arrival) -> Verdict:
        """Judge a client whose handshake is complete by what is in force now.

        Where the verdict is pending, ``judge_again`` is called when there may be another.
        """

    def refused(self, arrival: Arrival, refusal: Refused) -> None:
        """Take note that it was refused."""

    def established(self, arrival: Arrival) -> None:
        """Take over the connection: the handshake is complete."""

    def left(self, arrival: Arrival) -> None:
        """Take note that the connection is gone, or taken over."""


class Arrival(asyncio.Protocol):
    """A connection in its handshake.

    States: shaking hands, waiting for a verdict (``_pending``; what comes meanwhile is ``early``), lingering
    (``_over``, the last word is sent), gone.
    """

    __slots__ = ("_door", "_over", "_pending", "_received", "_since", "address", "deadline", "early", "handshake",
                 "refused", "session", "started", "transport")  # fmt: skip

    def __init__(self, door: Door) -> None:
        self._door = door
        self._over = False
        self._received = 0
        self._pending: Pending | None = None
        self._since: float | None = None
        self.early = b""
        self.refused = False
        self.started = door.now()
        self.deadline = self.started + door.handshake_timeout
        self.address: tuple[str, int] = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or close it before it costs a handshake."""
        self.transport = cast("asyncio.Transport", transport)
        self.address = (transport.get_extra_info("peername") or ("unknown", 0))[:2]
        self.handshake = self._door.handshake()
        refusal = self._door.admission.judge(self.address[0], self.started)
        self._door.arrived(self)
        if refusal is None:
            self.session = Session(self._door.listener)
        else:
            self._end(refusal)
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake; after the last word, listen no more."""
        if self._over:
            return
        if self._pending is not None:
            self._hold(data)
            return
        if not self._received and data[0] != _TLS_HANDSHAKE:
            self._refuse(Refused(Reason.NOT_TLS, f"the first octets are {data[:40].decode('latin-1')!a}"),
                         answer(_NOT_TLS_STATUS, close=True) if _HTTP.match(data) else b"")  # fmt: skip
            return
        self._received += len(data)
        try:
            done = self.session.handshake(data, self.handshake)
        except TlsError as error:
            self._refuse(self.handshake.refusal_of(error), self.session.pending())
            return
        flight = self.session.pending()
        if flight:
            self.transport.write(flight)
        if done:
            self.handshake.complete()
            self._settle(self._door.judge(self))
        elif self._received > MAX_HANDSHAKE:  # not before: a request may have come along with the last message
            self._refuse(Refused(Reason.BAD_HANDSHAKE, f"more than {MAX_HANDSHAKE} octets of handshake"), b"")

    def judge_again(self) -> None:
        """Ask for the verdict that was pending."""
        if self._pending is not None and not self._over:
            self._settle(self._door.judge(self))

    def _settle(self, verdict: Verdict) -> None:
        """Let the client in, refuse it, or let it wait: its handshake is complete, and its key is proved.

        There is no alert any more that would say why; who is refused now gets an answer to what it has not asked yet.
        """
        if isinstance(verdict, Pending):
            self._pending = verdict
            self._since = self._door.now() if self._since is None else self._since
        elif isinstance(verdict, Refused):
            last_word = answer(status_of(verdict.reason), close=True)
            self._refuse(verdict, self.session.write(last_word) + self.session.close())
        else:
            self._over = True
            self.handshake.verdict = verdict
            self._door.left(self)
            self._door.established(self)

    def _hold(self, data: bytes) -> None:
        """Keep what comes before the verdict, up to a bound, and read it when it is there."""
        self.early += data
        if len(self.early) > MAX_EARLY:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Give up: who closes in the middle of a handshake has nothing to ask."""
        self._abort(f"it closed the connection after {self._received} octets")
        return False

    def connection_lost(self, fault: Exception | None) -> None:
        """Give up, if that has not happened yet; an exception of ours is no fault of the client's."""
        if fault is not None and not isinstance(fault, OSError) and not self._over:
            self._end(Refused(Reason.INTERNAL_ERROR, f"{type(fault).__name__}: {fault}"))
        self._abort(f"the connection broke after {self._received} octets: {fault or 'closed'}")
        self._door.left(self)

    def is_silent(self) -> bool:
        """Tell whether nothing has come from the client since its handshake."""
        return not self.early

    def waited_ms(self) -> float | None:
        """Return how long the verdict has been pending; None where it was there at once."""
        return None if self._since is None else round((self._door.now() - self._since) * 1000, 2)

    def agreed(self) -> dict[str, str | None]:
        """Return the TLS version and the cipher, as far as they had been agreed on."""
        if not self._received or self.session.cipher is None:
            return {}
        return {"tls": self.session.version, "cipher": self.session.cipher}

    def tick(self, now: float) -> None:
        """End a handshake, or a lingering, whose time is over."""
        if now < self.deadline:
            return
        if self._over:
            self.transport.abort()
        elif self._pending is not None:
            verdict = self._door.judge(self)  # what is in force may have changed while it waited
            self._settle(verdict.otherwise if isinstance(verdict, Pending) else verdict)
        else:
            seconds = f"{self._door.handshake_timeout:g} s"
            self._refuse(Refused(Reason.HANDSHAKE_TIMEOUT, f"no complete handshake within {seconds}"), b"")

    def _abort(self, detail: str) -> None:
        if not self._over:
            self._end(Refused(Reason.CLIENT_ABORTED, detail))

    def _end(self, refusal: Refused) -> None:
        self._over = self.refused = True
        self._door.refused(self, refusal)

    def _refuse(self, refusal: Refused, last_word: bytes) -> None:
        """Say the last word (an alert, or a line for who speaks plain HTTP) and linger so that it arrives."""
        self._end(refusal)
        if not last_word:
            self.transport.abort()
            return
        self.deadline = self._door.now() + LINGER
        self.transport.write(last_word)
        self.transport.write_eof()
