"""Both ends of a TLS connection in memory: the client is pyOpenSSL's, the server is ``proxy.accept.tls``'s."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from proxy.accept.tls import Judge, ListenerContext, Session
from proxy.decide.facts import Certificate, read_certificate
from proxy.decide.request.route import Host
from proxy.operate.demo.pki import SERVER, Authority, Credential, Leaf
from proxy.snapshot.tls import build_context, listener_context

CA: Final = Authority.root("CA")
OTHER_CA: Final = Authority.root("Other CA")
CLIENT: Final = CA.issue(Leaf(subject="client", dns=("client.example",)))
STRANGER: Final = OTHER_CA.issue(Leaf(subject="stranger"))
_SERVER: Final = CA.issue(Leaf(subject="server", dns=("server.example",), eku=SERVER))

MAX_ROUNDS: Final = 20
"""Flights of a handshake, several times over."""


def facts_of(credential: Credential) -> Certificate:
    """Return a credential's leaf as the judges read it."""
    return read_certificate(credential.certificate.public_bytes(Encoding.DER))


def anchor(authority: Authority = CA) -> Certificate:
    """Return an authority as the judges read it."""
    return read_certificate(authority.certificate.public_bytes(Encoding.DER))


def host_context(host: Host) -> SSL.Context:
    """Make a host's context with a server certificate, asking for those of ``CA``."""
    return build_context(host.name, (facts_of(_SERVER),), _SERVER.key, (anchor(),))


LISTENER: Final = ListenerContext(listener_context())
CONTEXT: Final = host_context(Host(("server.example",), ()))


class LenientJudge:
    """Takes every name and every certificate, and remembers what it was told. Tests override what they test."""

    def __init__(self, *, asks: bool = True, insists: bool = True) -> None:
        self.mode = (asks, insists)
        self.names: list[bytes | None] = []
        self.chains: list[list[bytes]] = []
        self.faults: list[BaseException] = []

    def choose(self, sni: bytes | None) -> tuple[SSL.Context, bool, bool] | None:
        """Choose the one context."""
        self.names.append(sni)
        return (CONTEXT, *self.mode)

    def judge(self, digests: list[bytes], der: Callable[[int], bytes]) -> int:
        """Remember what was shown as it is in DER."""
        self.chains.append([der(index) for index in range(len(digests))])
        return 0

    def failed(self, fault: BaseException) -> None:
        """Remember the fault."""
        self.faults.append(fault)


class SevereJudge(LenientJudge):
    """Refuses everybody with one X509 error."""

    def __init__(self, error: int) -> None:
        super().__init__()
        self.error = error

    def judge(self, digests: list[bytes], der: Callable[[int], bytes]) -> int:
        """Refuse."""
        super().judge(digests, der)
        return self.error


class MemoryClient:
    """A client whose octets go where the test takes them."""

    def __init__(
        self, credential: Credential | None = CLIENT, sni: bytes | None = b"server.example", *, tls12: bool = False
    ) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if tls12:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
        if credential is not None:
            context.use_certificate(credential.certificate)
            for issuer in credential.intermediates:
                context.add_extra_chain_cert(issuer)
            context.use_privatekey(credential.key)
        self.tls = SSL.Connection(context, None)
        if sni is not None:
            self.tls.set_tlsext_host_name(sni)
        self.tls.set_connect_state()

    def step(self, received: bytes = b"") -> bytes:
        """Take octets, go on with the handshake, and return what is to be sent. Raises SSL.Error at an alert."""
        if received:
            self.tls.bio_write(received)
        with suppress(SSL.WantReadError):
            self.tls.do_handshake()
        return self.sent()

    def sent(self) -> bytes:
        """Return what is to be sent."""
        pieces = []
        while True:
            try:
                pieces.append(self.tls.bio_read(65536))
            except SSL.WantReadError:
                return b"".join(pieces)

    def say(self, data: bytes) -> bytes:
        """Return ``data`` as records."""
        pieces = []
        for start in range(0, len(data), 16384):
            self.tls.send(data[start : start + 16384])
            pieces.append(self.sent())
        return b"".join(pieces)

    def hear(self, records: bytes) -> bytes:
        """Return what records say."""
        if records:
            self.tls.bio_write(records)
        pieces = []
        while True:
            try:
                pieces.append(self.tls.recv(65536))
            except SSL.WantReadError:
                return b"".join(pieces)


def shake(judge: Judge, client: MemoryClient, session: Session | None = None) -> Session:
    """Shake hands to the end. Raises TlsError."""
    session = session or Session(LISTENER)
    data = client.step()
    for _ in range(MAX_ROUNDS):
        done = session.handshake(data, judge)
        data = client.step(session.pending())
        if done:
            return session
    raise AssertionError("the handshake does not come to an end")
