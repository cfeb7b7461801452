"""One matcher for server names: whatever the spelling or the packaging, the same host answers."""

from __future__ import annotations

from typing import Any

import pytest
from OpenSSL import SSL

from proxy.operate.demo.pki import Leaf
from tests.support.harness import TlsClient
from tests.support.refusals import alert_of
from tests.support.site import Site, host
from tests.support.tamper import records

_CLIENT_HELLO = 1
_HANDSHAKE = 22


@pytest.mark.parametrize(
    ("sni", "chosen"),
    [
        ("required.origin.test", "required.origin.test"),
        ("REQUIRED.Origin.TEST", "required.origin.test"),
        ("required.origin.test.", "required.origin.test"),
        ("Required.origin.test.", "required.origin.test"),
        ("one.required.origin.test", "*.required.origin.test"),
        ("ONE.required.origin.test.", "*.required.origin.test"),
        ("exact.required.origin.test", "exact.required.origin.test"),
        ("EXACT.required.origin.test.", "exact.required.origin.test"),
    ],
)
def test_a_name_has_many_spellings_and_one_host(site: Site, sni: str, chosen: str) -> None:
    """Case and a trailing dot do not matter, a wildcard covers one label, and an exact name wins over it."""
    address = site.address()
    credential = site.cdn.issue(Leaf(subject="edge"))
    with TlsClient(site.proxy.port, sni, credential, source=address).handshake() as client:
        assert client.get("/", sni.removesuffix(".")).status == 200
    line = site.line("handshake.accepted", address)
    assert line["host"] == chosen
    assert line["sni"] == sni


@pytest.mark.parametrize(
    "sni",
    [
        "two.labels.required.origin.test",
        ".required.origin.test",
        "origin.test",
        "required.origin.test..",
        "*.required.origin.test",
        "127.0.0.1",
        "required.origin.test ",
    ],
)
def test_a_name_that_no_host_has_is_refused(site: Site, sni: str) -> None:
    """A near miss is a miss, and the log shows what was asked for."""
    address = site.address()
    with TlsClient(site.proxy.port, sni, source=address) as client:
        assert alert_of(client) == "unrecognized_name"
    line = site.line("handshake.refused", address)
    assert line["reason"] == "unknown-host"
    assert line["sni"] == sni
    assert "host" not in line


class SplittingClient(TlsClient):
    """Sends its ClientHello in records of ``fragment`` octets, and everything octet by octet where ``drip`` is set."""

    def __init__(self, *arguments: Any, fragment: int, drip: bool, **options: Any) -> None:
        self._fragment = fragment
        self._drip = drip
        super().__init__(*arguments, **options)

    def _flush(self) -> None:
        while True:
            try:
                pending = self.tls.bio_read(65536)
            except SSL.WantReadError:
                return
            stream = b"".join(map(self._split, records(pending)))
            for piece in (stream[i : i + 1] for i in range(len(stream))) if self._drip else (stream,):
                self.socket.send(piece)

    def _split(self, record: bytes) -> bytes:
        if record[0] != _HANDSHAKE or record[5] != _CLIENT_HELLO or not self._fragment:
            return record
        body = record[5:]
        pieces = [body[i : i + self._fragment] for i in range(0, len(body), self._fragment)]
        return b"".join(record[:3] + len(piece).to_bytes(2) + piece for piece in pieces)


@pytest.mark.parametrize("tls12", [True, False], ids=["1.2", "1.3"])
@pytest.mark.parametrize(("fragment", "drip"), [(0, True), (1, False), (37, False), (100, True)])
def test_a_fragmented_client_hello_means_the_same(site: Site, fragment: int, drip: bool, tls12: bool) -> None:
    """However TCP segments and TLS records cut it, the name in it is found and the client is judged."""
    address = site.address()
    credential = site.cdn.issue(Leaf(subject="edge"))
    client = SplittingClient(
        site.proxy.port, host("required"), credential, tls12=tls12, source=address, fragment=fragment, drip=drip
    )
    client.socket.setsockopt(6, 1, 1)  # TCP_NODELAY
    with client.handshake():
        assert client.get("/", host("required")).status == 200
    assert site.line("handshake.accepted", address)["host"] == host("required")


def test_a_fragmented_client_hello_without_a_certificate_is_refused(site: Site) -> None:
    """Nothing is looked for in the first segment alone, so nothing falls back to anything."""
    address = site.address()
    client = SplittingClient(site.proxy.port, host("required"), source=address, fragment=16, drip=True)
    with client:
        assert alert_of(client) == "certificate_required"
    assert site.line("handshake.refused", address)["host"] == host("required")
