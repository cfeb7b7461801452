"""The app learns who the client is from the proxy only, on every kind of route, whatever the client says."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.decide.request.stamp import HEADERS
from proxy.operate.demo.pki import Credential, Leaf
from tests.support.gateway import Client, Gateway, chunks, request
from tests.support.harness import Seen

FORGED = [
    *(header.name for header in HEADERS),
    *(header.name.replace("-", "_").upper() for header in HEADERS),
    "x-forwarded-client-cert", "X-SSL-Cert", "X_SSL_Client.Verify", "SSL-Client-Verify", "X-Client-Cert",
    "X-ARR-ClientCert",
    "X-Forwarded-Tls-Client-Cert", "Client_Cert",
]  # fmt: skip

OWN = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "via"}


def claims(seen: Seen) -> dict[str, str]:
    """Return every field of a request that is neither the client's plain ones nor the proxy's own."""
    return {
        name: value for name, value in seen.fields if name not in OWN | {"host", "content-length", "transfer-encoding"}
    }


def der(credential: Credential) -> bytes:
    """Return the leaf in DER."""
    return credential.certificate.public_bytes(Encoding.DER)


def ask(gateway: Gateway, client: Client, path: str, *fields: str) -> Seen:
    """Send a request and return what the app saw of it."""
    assert client.ask(path, *fields).status == 200
    return gateway.app.saw(path)


def test_the_default_is_rfc_9440(patient: Gateway) -> None:
    """The leaf, and the chain that proved it up to the anchor."""
    edge = patient.cdn.intermediate("CDN issuing CA").issue(Leaf(subject="edge", dns=("edge.example",)))
    with patient.client(edge) as client:
        seen = claims(ask(patient, client, "/default"))
    assert seen["client-cert"] == f":{base64.b64encode(der(edge)).decode()}:"
    assert seen["client-cert-chain"].count(", ") == 1
    assert set(seen) == {"client-cert", "client-cert-chain"}


def test_a_route_chooses_its_families(patient: Gateway) -> None:
    """All of them, or none."""
    with patient.admitted() as client:
        everything = claims(ask(patient, client, "/families/x"))
        nothing = claims(ask(patient, client, "/bare/x"))
    assert set(everything) == {header.name.lower() for header in HEADERS}
    assert everything["x-ssl-client-verify"] == "SUCCESS"
    assert everything["x-ssl-client-s-dn"].startswith("CN=edge ")
    assert nothing == {}


def test_only_the_leaf_is_the_identity(patient: Gateway) -> None:
    """Another certificate that the client happens to send is nobody."""
    edge = patient.edge()
    other = patient.rogue.issue(Leaf(subject="admin", dns=("admin.example",)))
    padded = Credential(edge.certificate, edge.key, (other.certificate, patient.rogue.certificate))
    with patient.client(padded) as client:
        seen = claims(ask(patient, client, "/families/leaf"))
    text = "".join(seen.values())
    assert base64.b64encode(der(edge)).decode() in text
    assert base64.b64encode(der(other)).decode() not in text
    assert "admin" not in text


@pytest.mark.parametrize(
    ("path", "certificate", "expected"),
    [
        ("/required", True, {"client-cert", "client-cert-chain"}),
        ("/bare/forged", True, set()),
        ("/families/forged", True, {header.name.lower() for header in HEADERS}),
        ("/maybe/forged", True, {header.name.lower() for header in HEADERS if header.family == "nginx"}),
        ("/maybe/forged", False, {"x-ssl-client-verify"}),
        ("/public/forged", True, {"x-ssl-client-verify"}),
        ("/public/forged", False, {"x-ssl-client-verify"}),
    ],
)
def test_forged_identity_never_arrives(patient: Gateway, path: str, certificate: bool, expected: set[str]) -> None:
    """In any spelling, repeated, on any kind of route, from anybody."""
    with patient.client(patient.edge() if certificate else None) as client:
        fields = [f"{name}: counterfeit" for name in FORGED] + [
            "Client-Cert: counterfeit",
            "X-SSL-Client-Verify: SUCCESS",
        ]
        seen = ask(patient, client, path, *fields)
    assert set(claims(seen)) == expected
    assert b"counterfeit" not in seen.raw
    if not certificate or path.startswith("/public"):
        assert seen.header("x-ssl-client-verify") == "NONE"


@pytest.mark.parametrize("path", ["/bare/trailers", "/public/trailers"])
def test_forged_identity_does_not_arrive_in_trailers(patient: Gateway, path: str) -> None:
    """Some apps merge them into the fields."""
    with patient.admitted() as client:
        client.send(request(path, "Transfer-Encoding: chunked", "Trailer: Client-Cert", method="POST"))
        client.send(chunks(b"hello", trailers=b"".join(f"{name}: counterfeit\r\n".encode() for name in FORGED[:20])))
        assert client.answer().status == 200
    seen = patient.app.saw(path)
    assert (seen.body, b"counterfeit" in seen.raw) == (b"hello", False)


SPOKEN = ("X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: http", "X-Forwarded-Host: www.example")


def test_an_admitted_client_is_believed_about_where_requests_come_from(patient: Gateway) -> None:
    """A CDN is a proxy too: its word stays, and its own address is added."""
    with patient.admitted() as client:
        address = client.tls.socket.getsockname()[0]
        seen = ask(patient, client, "/forwarded", *SPOKEN)
    assert seen.header("x-forwarded-for") == f"198.51.100.7, {address}"
    assert seen.header("x-forwarded-proto") == "http, https"
    assert seen.header("x-forwarded-host") == "www.example, origin.test"


@pytest.mark.parametrize(("path", "certificate"), [("/public/forwarded", True), ("/maybe/forwarded", False)])
def test_anybody_else_is_not(patient: Gateway, path: str, certificate: bool) -> None:
    """A certificate that the route did not look at is no reason to believe its holder."""
    with patient.client(patient.edge() if certificate else None) as client:
        address = client.tls.socket.getsockname()[0]
        seen = ask(patient, client, path, *SPOKEN, "Forwarded: for=198.51.100.7", "X-Real-IP: 198.51.100.7")
    assert seen.header("x-forwarded-for") == address
    assert seen.header("x-forwarded-proto") == "https"
    assert seen.header("x-forwarded-host") == "origin.test"
    assert b"198.51.100.7" not in seen.raw


@pytest.mark.parametrize(
    ("path", "certificate", "passes"),
    [
        ("/viewer", True, True),
        ("/maybe/viewer", True, True),
        ("/maybe/viewer", False, False),
        ("/public/viewer", True, False),
    ],
)
def test_facts_about_the_viewer_pass_from_an_admitted_edge_only(
    patient: Gateway, path: str, certificate: bool, passes: bool
) -> None:
    """CloudFront verified the viewer; whoever is not CloudFront did not."""
    fields = ("CloudFront-Viewer-Cert-Subject: CN=viewer", "CloudFront-Viewer-Cert-Serial-Number: 01")
    with patient.client(patient.edge() if certificate else None) as client:
        seen = ask(patient, client, path, *fields)
    assert (seen.header("cloudfront-viewer-cert-subject") == "CN=viewer") is passes
    assert (b"cloudfront" in seen.raw.lower()) is passes


def test_a_request_id_is_passed_on_from_an_admitted_client(patient: Gateway) -> None:
    """Through to the app, and into the log."""
    with patient.admitted() as client:
        seen = ask(patient, client, "/id", "X-Request-Id: trace-4711")
        assert seen.header("x-request-id") == "trace-4711"
        patient.app.on("/id/500", lambda visit: visit.say(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"))
        assert client.ask("/id/500", "X-Request-Id: trace-4712").status == 500
        line = patient.line("trace-4712")
    assert (line["event"], line["status"], line["path"]) == ("request", 500, "/id/500")


@pytest.mark.parametrize("path", ["/public/id", "/id/made"])
def test_a_request_id_is_made_where_there_is_none_to_trust(patient: Gateway, path: str) -> None:
    """From the connection's name and the request's number; another for each request."""
    offered = ("X-Request-Id: counterfeit",) if path.startswith("/public") else ()
    with patient.client(patient.edge()) as client:
        ids = [ask(patient, client, path, *offered).header("x-request-id") for _ in range(3)]
    name = str(ids[0]).rpartition("-")[0]
    assert ids == [f"{name}-{number}" for number in (1, 2, 3)]
    accepted = patient.proxy.wait_for(lambda line: line["event"] == "handshake.accepted" and line["conn"] == name)
    assert accepted["sni"] == "origin.test"
