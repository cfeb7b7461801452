"""A verdict that needs an answer waits for it, after the key is proved and before any octet is forwarded."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from proxy.control.planes import Settled
from proxy.decide.peer.answers import Answer, Failure, Fault, Outcome, Status
from proxy.decide.peer.needs import Need, OcspNeed
from proxy.operate.demo.pki import Credential, Leaf
from tests.support.harness import PATIENCE, RawOrigin, readable
from tests.support.living import Living
from tests.support.site import ZONE, required
from tests.support.stage import Stage, stage

RESPONDER = "http://ocsp.example/"


class Oracle:
    """A control plane in the same process: what it is asked is answered by the test, in its own time."""

    def __init__(self, house: Living) -> None:
        self.house = house
        self.asked: queue.Queue[Need] = queue.Queue()
        house.call(lambda: setattr(house.house, "control", self))

    def ask(self, needs: Sequence[Need]) -> None:
        """Take the questions."""
        for need in needs:
            self.asked.put(need)

    def need(self) -> OcspNeed:
        """Wait for a question."""
        need = self.asked.get(timeout=PATIENCE)
        assert isinstance(need, OcspNeed)
        return need

    def settle(self, need: Need, outcome: Outcome) -> None:
        """Answer."""
        self.house.call(lambda: self.house.house.settle({need.key: Settled(outcome, need.fingerprint)}))


def says(status: Status) -> Answer:
    """Make an answer of now."""
    now = time.time()
    revoked_at = now - 60 if status is Status.REVOKED else None
    return Answer(status, now - 1, now + 3600, now - 1, now, RESPONDER, "CN=responder", revoked_at)


def failed() -> Failure:
    """Make a failure of now."""
    now = time.time()
    return Failure(Fault.TIMED_OUT, "no answer within 2 s", RESPONDER, now, now + 60)


def trust(mode: str) -> dict[str, object]:
    """Make the bundle's settings."""
    revocation = {"check": "leaf", "ocsp": {"mode": mode, "responder": RESPONDER}}
    return {"cdn": {"anchors": ["cdn.pem", "other.pem"], "revocation": revocation}}


@pytest.fixture
def app() -> Iterator[RawOrigin]:
    """Run an app."""
    with RawOrigin() as made:
        yield made


@pytest.fixture
def hard(app: RawOrigin, tmp_path: Path) -> Iterator[tuple[Stage, Oracle]]:
    """Put a house up whose bundle insists on an answer."""
    with stage(tmp_path, app.port, trust=trust("hard")) as made:
        yield made, Oracle(made.house)


def edge_of(made: Stage) -> Credential:
    """Make a client."""
    return made.cdn.issue(Leaf(subject="edge"))


def test_a_client_waits_for_its_answer(hard: tuple[Stage, Oracle], app: RawOrigin) -> None:
    """Its request came early: nothing of it is at the app before the answer is there, and then all of it."""
    made, oracle = hard
    with made.house.client(edge_of(made)) as client:
        client.send(f"GET /early HTTP/1.1\r\nHost: {ZONE}\r\n\r\n".encode())
        need = oracle.need()
        assert app.seen.empty()
        oracle.settle(need, says(Status.GOOD))
        assert client.response().status == 200
        assert app.next().raw.startswith(b"GET /early ")
        assert client.get("/again", ZONE).status == 200
    line = made.house.line("handshake.accepted")
    assert line["waited_ms"] > 0
    assert line["revocation"][0]["ocsp_status"] == "good"
    assert "originward_verdicts_awaited_total 1.0" in made.house.metrics()
    assert oracle.asked.empty()
    assert len(made.house.house.waiting) == 0


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: says(Status.REVOKED), "revoked"),
        (lambda: says(Status.UNKNOWN), "ocsp-unknown"),
        (failed, "ocsp-unavailable"),
    ],
)
def test_a_client_that_is_refused_after_waiting_gets_an_answer(
    make: Callable[[], Outcome], reason: str, hard: tuple[Stage, Oracle], app: RawOrigin
) -> None:
    """There is no alert any more; the next handshake gets one, for the answer is known by then."""
    made, oracle = hard
    edge = edge_of(made)
    with made.house.client(edge) as client:
        oracle.settle(oracle.need(), make())  # as of now, and not of when the tests were collected
        assert client.response().status == 403
        assert client.read() == b""
    line = made.house.line("handshake.refused")
    assert line["reason"] == reason
    assert line["waited_ms"] > 0
    assert line["revocation"]
    with made.house.client(edge) as client:
        assert client.read() == b""
        assert client.error is not None
    assert app.seen.empty()


def test_a_dead_responder_in_soft_mode_lets_in(app: RawOrigin, tmp_path: Path) -> None:
    """After its time-out, once: the failure is known to the next one."""
    with stage(tmp_path, app.port, trust=trust("soft")) as made:
        oracle, edge = Oracle(made.house), edge_of(made)
        with made.house.client(edge) as client:
            oracle.settle(oracle.need(), failed())
            assert client.get("/", ZONE).status == 200
        with made.house.client(edge) as client:
            assert client.get("/", ZONE).status == 200


@pytest.mark.parametrize(("mode", "status"), [("soft", 200), ("hard", 403)])
def test_nobody_waits_for_ever(mode: str, status: int, app: RawOrigin, tmp_path: Path) -> None:
    """The time for the handshake counts on; then the settings decide."""
    with stage(tmp_path, app.port, trust=trust(mode), limits={"handshake_timeout": "1s"}) as made:
        oracle = Oracle(made.house)
        with made.house.client(edge_of(made)) as client:
            oracle.need()
            if status == 403:
                assert client.response().status == 403
            else:
                made.house.line("handshake.accepted")


def test_who_waited_for_too_long_is_judged_by_what_is_in_force_then(app: RawOrigin, tmp_path: Path) -> None:
    """Soft would let the client in, but its authority has gone meanwhile."""
    with stage(tmp_path, app.port, trust=trust("soft"), limits={"handshake_timeout": "2s"}) as made:
        oracle = Oracle(made.house)
        with made.house.client(edge_of(made)) as client:
            oracle.need()
            made.publish(trust={"cdn": {"anchors": ["other.pem"]}})
            assert client.response().status == 403
        assert made.house.line("handshake.refused")["reason"] == "untrusted-issuer"
        assert made.house.lines("handshake.accepted") == []


def test_a_client_that_goes_while_it_waits_is_forgotten(hard: tuple[Stage, Oracle]) -> None:
    """Its answer comes to nobody, and does no harm."""
    made, oracle = hard
    with made.house.client(edge_of(made)):
        need = oracle.need()
    made.house.wait(lambda: not len(made.house.house.waiting))
    oracle.settle(need, says(Status.GOOD))
    assert made.house.line("handshake.refused")["reason"] == "client-aborted"


def test_who_waits_for_the_same_answer_is_woken_together(hard: tuple[Stage, Oracle]) -> None:
    """Ten connections of one client, one answer."""
    made, oracle = hard
    edge = edge_of(made)
    clients = [made.house.client(edge) for _ in range(10)]
    needs = {oracle.need() for _ in clients}
    assert len(needs) == 1
    oracle.settle(needs.pop(), says(Status.GOOD))
    for client in clients:
        assert client.get("/", ZONE).status == 200
        client.close()


def test_a_revocation_closes_the_connections_that_are_open(hard: tuple[Stage, Oracle]) -> None:
    """Of that client, and no others; nothing is published."""
    made, oracle = hard
    with made.house.client(edge_of(made)) as goes, made.house.client(edge_of(made)) as stays:
        needs = [oracle.need(), oracle.need()]
        for need in needs:
            oracle.settle(need, says(Status.GOOD))
        assert goes.get("/", ZONE).status == stays.get("/", ZONE).status == 200
        oracle.settle(needs[0], says(Status.REVOKED))
        ended, other = (goes, stays) if readable(goes.socket, PATIENCE) else (stays, goes)
        assert ended.read() == b""
        assert other.get("/", ZONE).status == 200
    assert made.house.line("connection.withdrawn")["reason"] == "revoked"
    assert len(made.house.lines("connection.withdrawn")) == 1


def test_a_request_waits_where_its_route_asks_more(app: RawOrigin, tmp_path: Path) -> None:
    """The host lets the client in by another bundle; this route's needs an answer, and its upload is held meanwhile."""
    bundles = {**trust("hard"), "plain": {"anchors": ["cdn.pem"]}}
    routes = (required("plain"), required("cdn", "/asked/"))
    with stage(tmp_path, app.port, *routes, trust=bundles) as made:
        oracle = Oracle(made.house)
        with made.house.client(edge_of(made)) as client:
            assert client.get("/", ZONE).status == 200
            app.next()
            body = bytes(range(256)) * 800
            client.send(f"POST /asked/ HTTP/1.1\r\nHost: {ZONE}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            pieces = [body[at : at + 16000] for at in range(0, len(body), 16000)]
            sending = threading.Thread(target=lambda: [client.send(piece) for piece in pieces])
            sending.start()
            need = oracle.need()
            assert app.seen.empty()
            oracle.settle(need, says(Status.GOOD))
            sending.join(PATIENCE)
            assert client.response().status == 200
            assert app.next().body == body
            assert client.get("/asked/", ZONE).status == 200
            oracle.settle(need, says(Status.REVOKED))
            assert client.get("/asked/", ZONE).status == 403
            assert client.get("/", ZONE).status == 200
