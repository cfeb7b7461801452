"""An admitted client's request reaches the app with the identity that was verified."""

from __future__ import annotations

from pathlib import Path

from proxy.operate.demo.pki import SERVER, Authority, Leaf
from tests.support.harness import RawOrigin, TlsClient, running

HOST = "origin.example.com"


def test_an_admitted_request_carries_the_verified_identity(tmp_path: Path) -> None:
    """The app sees the leaf that TLS proved, and the log says who came."""
    server_ca, client_ca = Authority.root("Server CA"), Authority.root("Client CA")
    server_ca.issue(Leaf(subject=HOST, dns=(HOST,), eku=SERVER)).write(tmp_path / "tls")
    client_ca.write(tmp_path / "ca.pem")
    client = client_ca.issue(Leaf(subject="edge", dns=("edge.example",)))
    with RawOrigin() as origin:
        config = tmp_path / "originward.yaml"
        config.write_text(f"""\
listen: [{{address: "127.0.0.1:0"}}]
trust: {{cdn: {{anchors: [ca.pem]}}}}
upstreams: {{app: {{servers: ["http://127.0.0.1:{origin.port}"]}}}}
hosts:
  - names: [{HOST}]
    certificate: {{chain: tls/chain.pem, key: tls/key.pem}}
    routes: [{{path: /, trust: cdn, upstream: app}}]
admin: {{address: "127.0.0.1:0"}}
""")
        with running(config) as proxy, TlsClient(proxy.port, HOST, client).handshake() as tls:
            assert tls.get("/hello?x=1", HOST).status == 200
            seen = origin.next()
            assert seen.raw.startswith(b"GET /hello?x=1 HTTP/1.1\r\nHost: origin.example.com\r\n")
            certificate = seen.header("client-cert")
            assert certificate is not None
            assert certificate.startswith(":MII")
            accepted = proxy.wait_for(lambda line: line["event"] == "handshake.accepted")
            assert accepted["certificate"]["subject"] == "CN=edge"
            assert "originward_connections_open 1" in proxy.metrics()
