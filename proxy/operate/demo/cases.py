"""The demo's table: who asks for what, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.decide.verdict import Reason
from proxy.operate.demo.client import Alert, Request

FORGED = "Zm9yZ2Vk"
"""``forged`` in base64: the value that no app must ever see in an identity header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row. ``client`` names a credential of the demo's PKI, or is None for no certificate.

    ``expected`` is a status or an alert. ``reason`` is what the log must say, None for an admitted request; then
    ``seen_as`` names the credential whose leaf the app must find in Client-Cert, None for no such header.
    """

    title: str
    client: str | None
    request: Request
    expected: int | Alert
    reason: Reason | None = None
    seen_as: str | None = None

_FORGERY = (("Client-Cert", f":{FORGED}:"), ("client_cert", f":{FORGED}:"), ("X-SSL-Client-Verify", FORGED))

CASES = (
    Case(title="CDN certificate", client="cdn", request=Request(path="/"), expected=200, seen_as="cdn"),
    Case(title="partner", client="partner", request=Request(path="/partners/"), expected=200, seen_as="partner"),
    Case(
        title="partner",
        client="partner",
        request=Request(path="/internal/"),
        expected=403,
        reason=Reason.UNTRUSTED_ISSUER,
    ),
    Case(
        title="no certificate",
        client=None,
        request=Request(path="/"),
        expected=403,
        reason=Reason.NO_CERTIFICATE,
    ),
    Case(
        title="rogue CA, same names",
        client="rogue",
        request=Request(path="/"),
        expected=Alert("unknown_ca"),
        reason=Reason.UNTRUSTED_ISSUER,
    ),
    Case(
        title="expired",
        client="expired",
        request=Request(path="/"),
        expected=Alert("certificate_expired"),
        reason=Reason.EXPIRED,
    ),
    Case(
        title="wrong purpose",
        client="wrong-purpose",
        request=Request(path="/"),
        expected=Alert("unsupported_certificate"),
        reason=Reason.WRONG_PURPOSE,
    ),
    Case(
        title="wrong SAN, right CA",
        client="wrong-san",
        request=Request(path="/"),
        expected=Alert("bad_certificate"),
        reason=Reason.NAME_NOT_ALLOWED,
    ),
    Case(title="no certificate", client=None, request=Request(path="/public/"), expected=200),
    Case(
        title="forged identity",
        client=None,
        request=Request(path="/public/", fields=_FORGERY),
        expected=200,
    ),
    Case(
        title="CDN, forged identity",
        client="cdn",
        request=Request(path="/", fields=_FORGERY),
        expected=200,
        seen_as="cdn",
    ),
    Case(
        title="CDN, Host differs from SNI",
        client="cdn",
        request=Request(path="/", host="other.demo.test"),
        expected=421,
        reason=Reason.HOST_MISMATCH,
    ),
    Case(
        title="CDN, dot segment",
        client="cdn",
        request=Request(path="/public/../internal/"),
        expected=400,
        reason=Reason.AMBIGUOUS_PATH,
    ),
    Case(
        title="partner, encoded dots",
        client="partner",
        request=Request(path="/partners/%2e%2e/internal/"),
        expected=400,
        reason=Reason.AMBIGUOUS_PATH,
    ),
)
