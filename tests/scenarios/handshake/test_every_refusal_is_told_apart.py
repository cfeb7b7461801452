"""Each way of being refused in the handshake has its reason in the log and its alert on the wire."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from proxy.decide.verdict import Reason
from proxy.operate.demo.pki import Leaf
from tests.scenarios.handshake import test_known_ocsp_answers
from tests.support.harness import PATIENCE, RawOrigin, TlsClient, running
from tests.support.refusals import CASES, Case, alert_of
from tests.support.site import ZONE, Site, host, small_site

ROWS = [(reason, case) for reason, cases in CASES.items() for case in cases]


@pytest.mark.parametrize("tls12", [True, False], ids=["TLS 1.2", "TLS 1.3"])
@pytest.mark.parametrize(("reason", "case"), ROWS, ids=[f"{reason} {case.name}" for reason, case in ROWS])
def test_a_refused_client_sees_an_alert_and_the_operator_a_reason(
    site: Site, reason: Reason, case: Case, tls12: bool
) -> None:
    """The client learns a category; the log has the reason, the detail and the certificate that was refused."""
    address = site.address()
    sni = case.host and host(case.host)
    with case.client(site, {"sni": sni, "tls12": tls12, "source": address}) as client:
        alert = alert_of(client)
        line = site.line("handshake.refused", address)
        assert line["reason"] == reason
        assert case.detail in line["detail"]
        assert ("certificate" in line) is case.shown
        assert line["level"] == "warning"
        assert line.get("sni") == (None if reason is Reason.PROTOCOL_VERSION else sni)
        assert {"conn", "ms", "generation", "time"} <= line.keys()
        if case.alert[0] is not None:
            assert alert == case.alert[not tls12]


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run a proxy that takes three connections, two handshakes, and one handshake in ten seconds of one address."""
    folder = tmp_path_factory.mktemp("tight")
    limits = {"connections": 3, "handshakes": 2, "handshake_timeout": "1s", "handshake_rate": 0.1}
    with RawOrigin() as origin:
        config, cdn = small_site(folder, origin.port, limits=limits)
        with running(config) as proxy:
            yield Site(folder, proxy, origin, cdn, cdn, cdn, cdn, cdn, iter(()))


def raw(site: Site, address: str, said: bytes = b"") -> socket.socket:
    """Connect without TLS and say something."""
    connection = socket.create_connection(("127.0.0.1", site.proxy.port), PATIENCE, (address, 0))
    connection.sendall(said)
    return connection


def heard(connection: socket.socket) -> bytes:
    """Return all that comes, up to the end or the reset of the connection."""
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pieces.append(b"")
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"GET /secret HTTP/1.1\r\nHost: origin.test\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", b""),
        (b"\x80\x2e\x01\x00\x02", b""),
        (b"\r\n\r\n", b""),
    ],
    ids=["HTTP", "SSH", "SSL 2", "empty lines"],
)
def test_who_speaks_no_tls_is_told_so_where_it_can_read_it(site: Site, said: bytes, answer: bytes) -> None:
    """Plain HTTP gets a short 400 in plain text, everything else silence; neither hears a detail."""
    address = site.address()
    with raw(site, address, said) as connection:
        reply = heard(connection)
        assert reply.startswith(answer) if answer else reply == b""
        assert reply.endswith(b"\r\n\r\n400 Bad Request\n") if answer else True
        assert b"secret" not in reply
    line = site.line("handshake.refused", address)
    assert line["reason"] == Reason.NOT_TLS
    assert "the first octets are" in line["detail"]


def test_a_client_that_leaves_in_the_middle_has_aborted(site: Site) -> None:
    """A connection that ends before the handshake does is logged with how far it got."""
    address = site.address()
    raw(site, address, b"\x16\x03\x01\x02\x00").close()
    line = site.line("handshake.refused", address)
    assert line["reason"] == Reason.CLIENT_ABORTED
    assert "after 5 octets" in line["detail"]


def test_handshakes_in_progress_are_bounded_in_number_and_time(tight: Site) -> None:
    """Two silent clients hold both places, a third is sent away at once, and both lose theirs when their time is up."""
    addresses = [tight.address() for _ in range(3)]
    with raw(tight, addresses[0]) as first, raw(tight, addresses[1], b"\x16") as second:
        with raw(tight, addresses[2]) as third:
            assert heard(third) == b""
        line = tight.line("handshake.refused", addresses[2])
        assert (line["reason"], line["detail"]) == (Reason.TOO_MANY_CONNECTIONS, "2 handshakes are in progress")
        assert heard(first) == heard(second) == b""
    for address in addresses[:2]:
        line = tight.line("handshake.refused", address)
        assert (line["reason"], line["detail"]) == (Reason.HANDSHAKE_TIMEOUT, "no complete handshake within 1 s")


def test_open_connections_are_bounded(tight: Site) -> None:
    """Three clients are in; the fourth is refused before a handshake costs anything."""
    credential = tight.cdn.issue(Leaf(subject="edge"))
    clients = []
    for _ in range(3):
        clients.append(TlsClient(tight.proxy.port, ZONE, credential, source=tight.address()).handshake())
        assert clients[-1].get("/", ZONE).status == 200
    address = tight.address()
    with raw(tight, address) as late:
        assert heard(late) == b""
    line = tight.line("handshake.refused", address)
    assert (line["reason"], line["detail"]) == (Reason.TOO_MANY_CONNECTIONS, "3 connections are open")
    for client in clients:
        client.close()


def test_handshakes_of_one_address_are_bounded_in_their_rate(tight: Site) -> None:
    """The second within the time is refused; another address is not."""
    hasty, other = tight.address(), tight.address()
    raw(tight, hasty).close()
    assert tight.line("handshake.refused", hasty)["reason"] == Reason.CLIENT_ABORTED
    mark = tight.proxy.mark()
    with raw(tight, hasty) as again:
        assert heard(again) == b""
    assert tight.proxy.reason("handshake.refused", mark) == Reason.RATE_LIMITED
    raw(tight, other).close()
    assert tight.line("handshake.refused", other)["reason"] == Reason.CLIENT_ABORTED


ELSEWHERE: dict[Reason, Callable[..., None]] = {
    Reason.OCSP_UNKNOWN: test_known_ocsp_answers.test_what_is_known_of_a_client_is_its_answer,
    Reason.NOT_TLS: test_who_speaks_no_tls_is_told_so_where_it_can_read_it,
    Reason.HANDSHAKE_TIMEOUT: test_handshakes_in_progress_are_bounded_in_number_and_time,
    Reason.RATE_LIMITED: test_handshakes_of_one_address_are_bounded_in_their_rate,
    Reason.TOO_MANY_CONNECTIONS: test_open_connections_are_bounded,
}


def test_no_reason_of_the_handshake_is_without_a_scenario() -> None:
    """A new reason needs a new row: all that come before the request's own are provoked here."""
    reasons = list(Reason)
    assert CASES.keys() | ELSEWHERE.keys() == set(reasons[: reasons.index(Reason.BAD_REQUEST)])
