"""One connection, several routes: each judges the client for itself."""

from __future__ import annotations

import pytest

from proxy.operate.demo.pki import Leaf
from tests.support.gateway import Gateway, request


def test_a_client_may_have_one_route_and_not_the_other(patient: Gateway) -> None:
    """On one connection, in any order, and the refusals do not end it."""
    partner = patient.partners.issue(Leaf(subject="partner"))
    for credential, good, bad in ((patient.edge(), "/x", "/partners/x"), (partner, "/partners/x", "/x")):
        with patient.client(credential) as client:
            assert [client.ask(path).status for path in (good, bad, good, bad, good)] == [200, 403, 200, 403, 200]


@pytest.mark.parametrize(
    ("who", "path", "status", "reason"),
    [
        ("nobody", "/maybe/x", 200, None),
        ("edge", "/maybe/x", 200, None),
        ("partner", "/maybe/x", 403, "untrusted-issuer"),
        ("nobody", "/x", 403, "no-certificate"),
        ("nobody", "/public/x", 200, None),
        ("partner", "/public/x", 200, None),
        ("partner", "/x", 403, "untrusted-issuer"),
    ],
)
def test_an_optional_route_asks_for_a_good_certificate_or_none(
    patient: Gateway, who: str, path: str, status: int, reason: str | None
) -> None:
    """A wrong one is no better than none where one is required, and worse where none is needed."""
    credential = {"nobody": None, "edge": patient.edge(), "partner": patient.partners.issue(Leaf(subject="partner"))}[
        who
    ]
    with patient.client(credential) as client:
        answer = client.ask(path)
        assert answer.status == status
        if reason is not None:
            line = patient.line(answer.header("x-request-id"))
            assert (line["reason"], line["route"]) == (reason, path[: path.rindex("/") + 1])
            assert ("client" in line) is (credential is not None)


@pytest.mark.parametrize(
    "path",
    [
        "/partners/../x",
        "/x/%2e%2e/partners/x",
        "/x%2fpartners",
        "//partners/x",
        "/partners;v=1/x",
        "/x\\partners",
        "/%2570artners/x",
    ],
)
def test_a_path_that_could_be_another_routes_is_refused(patient: Gateway, path: str) -> None:
    """400 before anybody is asked, and the connection ends."""
    with patient.admitted() as client:
        answer = client.ask(path)
        assert (answer.status, answer.header("connection"), client.ended) == (400, "close", "closed")
    assert patient.app.visits[path].empty()


def test_a_refused_request_with_a_body_ends_the_connection(patient: Gateway) -> None:
    """The body is not read on for a client that may not send it; the answer arrives all the same."""
    with patient.admitted() as client:
        client.send(request("/partners/upload", "Content-Length: 1000000", method="POST"), bytes(300_000))
        answer = client.answer()
        assert (answer.status, answer.header("connection"), client.ended) == (403, "close", "closed")
    with patient.admitted() as client:
        assert client.ask("/partners/head", method="HEAD").status == 403
        assert client.stays
