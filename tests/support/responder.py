"""An OCSP responder on a real socket: it answers by GET and POST, as it is told to, and lies in every way one can."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequest, load_der_ocsp_request

from proxy.decide.peer.needs import Nonce, OcspNeed
from tests.support import web
from tests.support.certificates import DAY, NOW, Issued
from tests.support.ocsp import GOOD, HOUR, Single, respond
from tests.support.web import Answer, Call, Web

PATH: Final = "/ocsp"
TYPE: Final = "application/ocsp-response"


@dataclass(frozen=True)
class Asked:
    """One request as the responder read it."""

    method: str
    serial: int
    nonce: bytes | None
    by: Issued | None

    @property
    def leaf(self) -> Issued:
        """The certificate that it is about."""
        assert self.by is not None, f"serial {self.serial:X} was never registered"
        return self.by


Behaviour = Callable[["Responder", Asked], Answer]
"""What a responder does with a request."""


class Responder(Web):
    """Answers for ``issuer`` about ``leaves``, at Unix time ``now``; ``asked`` are all requests, ``does`` how it is."""

    def __init__(self, issuer: Issued, *leaves: Issued, now: float = NOW) -> None:
        self.issuer = issuer
        self.now = now
        self.does: Behaviour = says()
        self.asked: list[Asked] = []
        self.known = {leaf.certificate.x509.serial_number: leaf for leaf in leaves}
        super().__init__()

    @property
    def address(self) -> str:
        """Where it is asked."""
        return self.url(PATH)

    def need(self, leaf: Issued, *others: str, timeout: float = 10.0, nonce: Nonce = Nonce.ASK) -> OcspNeed:
        """Make the question about a leaf; ``others`` are addresses behind its own."""
        cert = leaf.certificate
        self.known[cert.x509.serial_number] = leaf
        return OcspNeed(
            bundle="cdn", urls=(self.address, *others), certificate=cert.der, issuer=self.issuer.certificate.der,
            fingerprint=cert.fingerprint, depth=0, digest="sha1", nonce=nonce, max_age=None, timeout=timeout,
        )  # fmt: skip

    def _answer(self, call: Call) -> None:
        asked = self._read(call)
        with self._change:
            self.seen.append(call.seen)
            self.asked.append(asked)
            self._change.notify_all()
        self.does(self, asked)(call)

    def _read(self, call: Call) -> Asked:
        request = _request(call)
        nonce = next((one.value for one in request.extensions if one.oid == x509.OCSPNonce.oid), None)
        came = nonce.nonce if isinstance(nonce, x509.OCSPNonce) else None
        return Asked(call.seen.method, request.serial_number, came, self.known.get(request.serial_number))

    def wait_asked(self, number: int) -> None:
        """Wait until there were as many requests."""
        with self._change:
            assert self._change.wait_for(lambda: len(self.asked) >= number, web.PATIENCE), len(self.asked)


def _request(call: Call) -> OCSPRequest:
    if call.seen.method == "GET":
        return load_der_ocsp_request(b64decode(unquote(call.seen.path.removeprefix(f"{PATH}/")), validate=True))
    assert call.seen.header("content-type") == "application/ocsp-request"
    return load_der_ocsp_request(call.seen.body)


def says(
    status: str = GOOD, *, age: float = HOUR, life: float | None = DAY, echo: bool = True, nonce: bytes | None = None,
    signer: Issued | None = None, about: Issued | None = None, certificates: bool = True,
) -> Behaviour:  # fmt: skip
    """Answer as of ``age`` seconds ago, for ``life`` seconds from now.

    ``nonce`` is sent instead of the request's; without ``echo`` there is none. ``about`` is another certificate.
    """

    def answer(responder: Responder, asked: Asked) -> Answer:
        der = octets(
            responder, about or asked.leaf, status, age=age, life=life, signer=signer, certificates=certificates,
            nonce=(nonce or asked.nonce) if echo else None,
        )  # fmt: skip
        return web.body(der, kind=TYPE)

    return answer


def octets(
    responder: Responder, leaf: Issued, status: str = GOOD, *, age: float = HOUR, life: float | None = DAY,
    signer: Issued | None = None, nonce: bytes | None = None, certificates: bool = True,
) -> bytes:  # fmt: skip
    """Make a response in DER."""
    begins = responder.now - age
    single = Single(
        responder.issuer, leaf, status, begins, None if life is None else responder.now + life, begins - DAY
    )  # fmt: skip
    return respond(
        single, signer=signer, nonce=nonce, produced_at=begins, certificates=None if certificates else (),
    )


def sends(der: bytes, kind: str = TYPE) -> Behaviour:
    """Answer with these octets."""
    return lambda _responder, _asked: web.body(der, kind=kind)


def cut_short() -> Behaviour:
    """Answer with the first half of a good response."""

    def answer(responder: Responder, asked: Asked) -> Answer:
        der = octets(responder, asked.leaf, nonce=asked.nonce)
        return web.body(der[: len(der) // 2], kind=TYPE)

    return answer


def does(answer: Answer) -> Behaviour:
    """Fail as a web server does."""
    return lambda _responder, _asked: answer


def only(method: str, then: Behaviour, otherwise: Behaviour | None = None) -> Behaviour:
    """Answer one method, 405 to the others."""

    def answer(responder: Responder, asked: Asked) -> Answer:
        other = otherwise or does(web.status(405, "Method Not Allowed"))
        return (then if asked.method == method else other)(responder, asked)

    return answer


def in_pem(issued: Issued) -> bytes:
    """Write a certificate for OpenSSL's command."""
    return issued.certificate.x509.public_bytes(Encoding.PEM)
