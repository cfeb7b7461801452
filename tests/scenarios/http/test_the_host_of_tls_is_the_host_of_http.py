"""SNI and Host have to name the same host, in the same spelling or another."""

from __future__ import annotations

import pytest

from tests.support.gateway import Gateway, request
from tests.support.site import ZONE


@pytest.mark.parametrize("host", [ZONE, ZONE.upper(), f"{ZONE}.", f"{ZONE}:8443", f"{ZONE.title()}.:443"])
def test_other_spellings_of_the_name_are_the_same_host(patient: Gateway, host: str) -> None:
    """Case, final dot and port do not matter; the app gets what the client wrote."""
    with patient.admitted() as client:
        assert client.ask("/spelled", host=host).status == 200
    assert patient.app.saw("/spelled").header("host") == host


@pytest.mark.parametrize(
    "host",
    [
        f"other.{ZONE}",
        f"narrow.{ZONE}",
        "unknown.example",
        f"{ZONE}.evil.example",
        "127.0.0.1",
        f"x{ZONE}",
        "localhost",
    ],
)
def test_another_name_is_misdirected(patient: Gateway, host: str) -> None:
    """421, also for another name of the same host; the connection stays good for its own."""
    with patient.admitted() as client:
        answer = client.ask("/misdirected", host=host)
        assert (answer.status, answer.header("connection")) == (421, None)
        assert patient.line(answer.header("x-request-id"))["reason"] == "host-mismatch"
        assert client.stays
    assert patient.app.visits["/misdirected"].empty()


def test_the_name_is_checked_with_every_request(patient: Gateway) -> None:
    """A good one does not vouch for the next."""
    with patient.admitted() as client:
        hosts = [ZONE, f"narrow.{ZONE}", ZONE, "other.example", ZONE]
        assert [client.ask("/again", host=host).status for host in hosts] == [200, 421, 200, 421, 200]


def test_the_name_in_the_sni_is_normalised_too(patient: Gateway) -> None:
    """A client that spells it in capitals is the same client."""
    with patient.client(patient.edge(), sni=ZONE.upper()) as client:
        assert client.ask("/capitals", host=ZONE).status == 200


@pytest.mark.parametrize(
    "fields",
    [b"", b"Host:\r\n", b"Host: \r\n", b"Host: a b\r\n", b"Host: origin.test/x\r\n", b"Host: a@origin.test\r\n"],
)
def test_no_name_at_all_is_a_bad_request(patient: Gateway, fields: bytes) -> None:
    """Missing, empty, or no name: 400, and the connection ends."""
    with patient.admitted() as client:
        client.send(b"GET /nameless HTTP/1.1\r\n" + fields + b"\r\n")
        answer = client.answer()
        assert (answer.status, answer.header("connection"), client.ended) == (400, "close", "closed")
    assert patient.app.visits["/nameless"].empty()


def test_a_url_has_to_name_the_host_too(patient: Gateway) -> None:
    """The absolute form is judged like the Host field that it has to equal."""
    with patient.admitted() as client:
        assert client.ask(f"http://{ZONE}/absolute").status == 200
        assert patient.app.saw("/absolute").raw.startswith(b"GET /absolute HTTP/1.1\r\nHost: origin.test\r\n")
        client.send(request("http://narrow.origin.test/absolute"))
        assert (client.answer().status, client.ended) == (400, "closed")
