"""An arrival: admitted, shaken hands with, or refused with a last word, and then gone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.accept.admission import Admission, AdmissionLimits
from proxy.accept.arrival import LINGER, MAX_HANDSHAKE, Arrival
from proxy.accept.handshake import Handshake
from proxy.accept.peers import Facts
from proxy.accept.tls import ListenerContext
from proxy.decide.peer.chain import Bundle
from proxy.decide.peer.gate import Gate
from proxy.decide.peer.verdicts import Verdicts
from proxy.decide.request.route import ClientCertificate, Host, HostTable, Route
from proxy.decide.verdict import Admitted, Reason, Refused, Verdict
from proxy.snapshot.tls import HostContext
from tests.support.certificates import make_ca
from tests.support.memory import CONTEXT, LISTENER, MemoryClient

PEER = ("192.0.2.7", 50000)
ADMITTED = Admitted(None)
ADMIT_ALL = AdmissionLimits(10, 10, None)


class Socket:
    """A socket, for its options."""

    def __init__(self) -> None:
        self.options: list[tuple[int, ...]] = []

    def setsockopt(self, *option: int) -> None:
        """Remember an option."""
        self.options.append(option)


class Wire(asyncio.Transport):
    """What the event loop would carry away."""

    def __init__(self) -> None:
        self.socket = Socket()
        super().__init__({"peername": PEER, "socket": self.socket})
        self.written = b""
        self.ended = self.aborted = False

    def write(self, data: Any) -> None:
        """Take octets."""
        self.written += data

    def write_eof(self) -> None:
        """Half-close."""
        self.ended = True

    def abort(self) -> None:
        """Cut."""
        self.aborted = True

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        data, self.written = self.written, b""
        return data


@dataclass
class Hall:
    """The house, as an arrival knows it."""

    limits: AdmissionLimits = ADMIT_ALL
    clock: float = 1000.0
    listener: ListenerContext = LISTENER
    handshake_timeout: float = 10.0
    verdict: Verdict = ADMITTED
    told: list[tuple[str, Refused | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make what has state."""
        self.admission = Admission(self.limits)
        self.hosts = HostTable((Host(("server.example",), (Route("/", ClientCertificate.NONE, None, "app"),)),))

    def now(self) -> float:
        """Return the test's time."""
        return self.clock

    def handshake(self) -> Handshake:
        """Begin a handshake with the one host."""
        contexts = dict.fromkeys(self.hosts.hosts, HostContext(lambda _now: CONTEXT))
        return Handshake(self.hosts, contexts, Verdicts(10), Facts(), lambda: 0.0)

    def judge(self, _arrival: Arrival) -> Verdict:
        """Say what the test wants said once the handshake is complete."""
        return self.verdict

    def arrived(self, _arrival: Arrival) -> None:
        """Note it."""
        self.told.append(("arrived", None))

    def refused(self, _arrival: Arrival, refusal: Refused) -> None:
        """Note it."""
        self.told.append(("refused", refusal))

    def established(self, _arrival: Arrival) -> None:
        """Note it."""
        self.told.append(("established", None))

    def left(self, _arrival: Arrival) -> None:
        """Note it."""
        self.told.append(("left", None))

    @property
    def events(self) -> list[str]:
        """What happened, by name."""
        return [event for event, _ in self.told]

    @property
    def reason(self) -> Reason:
        """The reason of the one refusal."""
        (refusal,) = [refusal for _, refusal in self.told if refusal]
        return refusal.reason


def arrive(hall: Hall) -> tuple[Arrival, Wire]:
    """Accept a connection."""
    arrival, wire = Arrival(hall), Wire()
    arrival.connection_made(wire)
    return arrival, wire


def test_a_handshake_ends_in_a_connection() -> None:
    """It arrives, leaves the hall, and is taken over."""
    hall, client = Hall(), MemoryClient()
    arrival, wire = arrive(hall)
    arrival.data_received(client.step())
    arrival.data_received(client.step(wire.taken()))
    assert hall.events == ["arrived", "left", "established"]
    assert arrival.address == PEER
    arrival.tick(hall.clock + 3600)
    assert hall.events == ["arrived", "left", "established"]


def test_a_large_request_may_come_along_with_the_last_message() -> None:
    """What a handshake may weigh is no bound on what follows it in the same read."""
    hall, client = Hall(), MemoryClient()
    arrival, wire = arrive(hall)
    arrival.data_received(client.step())
    last = client.step(wire.taken())
    body = bytes(MAX_HANDSHAKE + 1000)
    arrival.data_received(last + client.say(body))
    assert hall.events == ["arrived", "left", "established"]
    assert arrival.session.read(b"") == body


def test_a_handshake_may_not_weigh_what_it_likes() -> None:
    """A ClientHello as large as OpenSSL takes it, in small records, is cut at the limit."""
    hall = Hall()
    arrival, wire = arrive(hall)
    arrival.data_received(b"\x16\x03\x01\x00\x04\x01" + (131_000).to_bytes(3))
    sent = 9
    while not wire.aborted:
        assert sent <= MAX_HANDSHAKE
        arrival.data_received(b"\x16\x03\x01" + (500).to_bytes(2) + bytes(500))
        sent += 505
    assert hall.reason is Reason.BAD_HANDSHAKE
    assert hall.events == ["arrived", "refused"]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (AdmissionLimits(0, 10, None), Reason.TOO_MANY_CONNECTIONS),
        (AdmissionLimits(10, 0, None), Reason.TOO_MANY_CONNECTIONS),
    ],
)
def test_who_is_not_admitted_is_cut_before_anything_is_read(limits: AdmissionLimits, reason: Reason) -> None:
    """No session is made, no octet looked at."""
    hall = Hall(limits)
    arrival, wire = arrive(hall)
    assert wire.aborted
    assert hall.reason is reason
    arrival.data_received(MemoryClient().step())
    arrival.connection_lost(None)
    assert wire.written == b""
    assert hall.events == ["arrived", "refused", "left"]


@pytest.mark.parametrize(
    ("said", "answered"),
    [(b"GET / HTTP/1.1\r\n\r\n", True), (b"OPTIONS * HTTP/1.1\r\n", True), (b"get / ", False), (b"\x00", False)],
)
def test_plain_text_is_answered_in_kind(said: bytes, answered: bool) -> None:
    """What looks like HTTP gets a 400 and a half-close, the rest a cut."""
    hall = Hall()
    arrival, wire = arrive(hall)
    arrival.data_received(said)
    assert hall.reason is Reason.NOT_TLS
    assert wire.written.startswith(b"HTTP/1.1 400 ") is answered
    assert wire.ended is answered
    assert wire.aborted is not answered


def test_after_the_last_word_the_client_is_not_heard_and_soon_cut() -> None:
    """It gets the time to read the alert, and no more."""
    hall = Hall()
    arrival, wire = arrive(hall)
    arrival.data_received(MemoryClient(sni=b"nobody.example").step())
    assert hall.reason is Reason.UNKNOWN_HOST
    assert wire.taken()[0] == 21
    assert wire.ended
    arrival.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert wire.written == b""
    arrival.tick(hall.clock + LINGER - 0.1)
    assert not wire.aborted
    arrival.tick(hall.clock + LINGER)
    assert wire.aborted
    arrival.connection_lost(None)
    assert hall.events == ["arrived", "refused", "left"]


def test_time_is_up_for_who_does_not_finish() -> None:
    """At the deadline, and not before."""
    hall = Hall()
    arrival, wire = arrive(hall)
    arrival.tick(hall.clock + 9.9)
    assert hall.events == ["arrived"]
    arrival.tick(hall.clock + 10)
    assert wire.aborted
    assert hall.reason is Reason.HANDSHAKE_TIMEOUT


@pytest.mark.parametrize("fault", [None, ConnectionResetError("reset by peer")])
def test_a_connection_that_breaks_is_logged_once(fault: Exception | None) -> None:
    """By its end of stream or by its loss, whichever comes first."""
    hall = Hall()
    arrival, _ = arrive(hall)
    if fault is None:
        assert arrival.eof_received() is False
    arrival.connection_lost(fault)
    assert hall.reason is Reason.CLIENT_ABORTED
    assert hall.events == ["arrived", "refused", "left"]


def test_the_gate_of_a_host_is_what_the_handshake_judges() -> None:
    """A client of another authority gets its alert, and the hall the reason."""
    ca = make_ca("Elsewhere")
    gate = Gate(Bundle("elsewhere", (ca.certificate,)))
    hall = Hall()
    hall.hosts = HostTable((Host(("server.example",), (Route("/", ClientCertificate.REQUIRED, gate, "app"),)),))
    client = MemoryClient()
    arrival, wire = arrive(hall)
    arrival.data_received(client.step())
    arrival.data_received(client.step(wire.taken()))
    assert hall.reason in {Reason.UNTRUSTED_ISSUER, Reason.NOT_YET_VALID}
    assert arrival.handshake.leaf is not None
    assert arrival.handshake.leaf.subject == "CN=client"


def test_who_is_refused_is_known_as_such_from_then_on() -> None:
    """It still is a connection, and no handshake in progress any more."""
    hall = Hall()
    arrival, _ = arrive(hall)
    assert not arrival.refused
    arrival.data_received(b"\x00")
    assert arrival.refused


def test_an_exception_of_ours_is_not_the_clients_doing() -> None:
    """The event loop closes the connection, and hands over what was raised."""
    hall = Hall()
    arrival, _ = arrive(hall)
    arrival.connection_lost(KeyError("x"))
    assert hall.reason is Reason.INTERNAL_ERROR
    assert hall.events == ["arrived", "refused", "left"]
