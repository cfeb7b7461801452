"""Identity headers: which of a client's headers are removed, and which are set from the verified leaf.

One table says both: a header that the proxy can set is a header that no client can send. A new one is one row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from proxy.decide.request import values
from proxy.decide.verdict import Identity


@dataclass(frozen=True, slots=True)
class Header:
    """A row: a header of a family, its value for an identity, and its value for a client that has none.

    An empty value is not sent.
    """

    family: str
    name: str
    value: Callable[[Identity], bytes]
    absent: bytes = b""


Family = tuple[Header, ...]

DEFAULT_FAMILY: Final = "rfc9440"

HEADERS: Final[tuple[Header, ...]] = (
    Header("rfc9440", "Client-Cert", values.client_cert),
    Header("rfc9440", "Client-Cert-Chain", values.client_cert_chain),
    Header("xfcc", "X-Forwarded-Client-Cert", values.xfcc),
    Header("alb", "X-Amzn-Mtls-Clientcert-Serial-Number", values.serial),
    Header("alb", "X-Amzn-Mtls-Clientcert-Issuer", values.issuer),
    Header("alb", "X-Amzn-Mtls-Clientcert-Subject", values.subject),
    Header("alb", "X-Amzn-Mtls-Clientcert-Validity", values.validity),
    Header("alb", "X-Amzn-Mtls-Clientcert-Leaf", values.alb_leaf),
    Header("nginx", "X-SSL-Client-Verify", values.nginx_verify, absent=b"NONE"),
    Header("nginx", "X-SSL-Client-S-DN", values.subject),
    Header("nginx", "X-SSL-Client-I-DN", values.issuer),
    Header("nginx", "X-SSL-Client-Serial", values.serial),
    Header("nginx", "X-SSL-Client-Fingerprint", values.nginx_fingerprint),
    Header("nginx", "X-SSL-Client-Cert", values.nginx_cert),
)

FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {key: tuple(header for header in HEADERS if header.family == key) for key in (row.family for row in HEADERS)},
)
"""The headers of each family that a route can ask for."""


class Passage(IntEnum):
    """What happens to a header that a client sent."""

    FORWARD = 0
    STRIP = 1
    ADMITTED = 2
    """It passes only from a client that the route admitted by certificate."""


_KEPT: Final = b"abcdefghijklmnopqrstuvwxyz0123456789"
_FOLD: Final = bytes(octet if octet in _KEPT else ord("-") for octet in bytes(range(256)).lower())


def fold(name: bytes) -> bytes:
    """Return the spelling under which look-alikes collide: lower case, with ``-`` for all but letters and digits.

    CGI, WSGI and their kin read ``X_SSL_Client.Cert`` and ``X-SSL-Client-Cert`` as the same variable.
    """
    return name.translate(_FOLD)


STRIPPED: Final[tuple[bytes, ...]] = (
    *(fold(header.name.encode()) for header in HEADERS),
    # Whole prefixes of the families above, with what their inventors may add to them.
    b"client-cert",
    b"x-forwarded-client-cert",
    b"x-amzn-mtls-",
    b"x-ssl-",
    # What apps behind other proxies believe without asking: Apache and ingress-nginx, Traefik, Azure, Google Cloud,
    # WebLogic and WebSphere, and the names that tutorials for nginx and HAProxy use.
    b"ssl-client-",
    b"ssl-cert",
    b"x-forwarded-tls-client-cert",
    b"x-forwarded-ssl-client",
    b"x-arr-clientcert",
    b"x-client-cert",
    b"x-client-verify",
    b"x-client-verified",
    b"x-client-dn",
    b"x-client-cn",
    b"x-client-s-dn",
    b"x-client-i-dn",
    b"x-client-subject",
    b"x-client-issuer",
    b"x-client-serial",
    b"x-client-fingerprint",
    b"x-mtls-",
    b"x-tls-client-",
    b"tls-client-",
    b"proxy-client-cert",
    b"wl-proxy-client-cert",
    b"-wscc",
    b"-wsis",
    # Some frameworks route by these: then the path that was authorised would not be the path that the app sees.
    b"x-original-url",
    b"x-original-uri",
    b"x-rewrite-url",
    b"x-override-url",
    b"x-envoy-original-path",
)
"""Prefixes of folded names that no client may send: claims about who it is, or another path."""

ADMITTED: Final[tuple[bytes, ...]] = (
    # Facts about the viewer that a CDN's edge adds; true if the edge is who it says, forged otherwise.
    b"cloudfront-",
    b"cf-client-cert-",
    b"cf-cert-",
    b"cf-connecting-ip",
    b"fastly-client-ip",
    b"client-to-edge",
    b"x-azure-clientip",
    b"x-azure-socketip",
    # Where a request came from, and for which host, as proxies tell each other.
    b"forwarded",
    b"x-forwarded",
    b"x-original-forwarded-for",
    b"x-original-host",
    b"x-real-ip",
    b"true-client-ip",
    b"x-true-client-ip",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"x-proxyuser-ip",
    b"proxy-client-ip",
    b"wl-proxy-client-ip",
    b"x-envoy-",
)
"""Prefixes of folded names that a client must have been admitted for by certificate."""


_GLANCE: Final = 3
"""Octets that are enough to let most names of most requests through; the shortest prefix above has more."""

_SUSPECT: Final = frozenset(prefix[:_GLANCE] for prefix in STRIPPED + ADMITTED)


def passage(name: bytes) -> Passage:
    """Say what happens to a header with this name, in whatever spelling a client sent it."""
    folded = name.translate(_FOLD)
    if folded[:_GLANCE] not in _SUSPECT:
        return Passage.FORWARD
    if folded.startswith(STRIPPED):
        return Passage.STRIP
    return Passage.ADMITTED if folded.startswith(ADMITTED) else Passage.FORWARD


def stamp(identity: Identity | None, families: tuple[str, ...]) -> bytes:
    """Return the header lines of ``families`` for an identity, or for a client that has none, ready to be written.

    The lines depend on nothing else, so a connection makes them once. Raises KeyError for an unknown family.
    """
    headers = (header for family in families for header in FAMILIES[family])
    return b"".join(_line(header, identity) for header in headers)


def _line(header: Header, identity: Identity | None) -> bytes:
    value = header.absent if identity is None else header.value(identity)
    return b"%b: %b\r\n" % (header.name.encode(), value) if value else b""
