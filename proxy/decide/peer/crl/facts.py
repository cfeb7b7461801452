"""Facts: what one CRL says (RFC 5280, section 5), read once; its octets are not kept.

Whatever it asks that the proxy could not honour is an error here: nothing that is not understood is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from proxy.decide.peer.crl.entries import Walk
from proxy.decide.peer.crl.index import SerialIndex
from proxy.decide.peer.crl.names import GeneralNameKey, NameKey, name_key, point_names
from proxy.decide.peer.crl.parts import parts_of
from proxy.decide.text import printable

WEAK_HASHES: Final = frozenset({"md5", "sha1", "sha224"})
"""As for certificates: whoever can forge a CRL can unlist a revoked certificate."""

ALL_REASONS: Final = frozenset(x509.ReasonFlags) - {x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl}
"""The reasons that a distribution point can be limited to (section 4.2.1.13)."""

_KNOWN: Final = frozenset({
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER, ExtensionOID.DELTA_CRL_INDICATOR,
    ExtensionOID.ISSUING_DISTRIBUTION_POINT, ExtensionOID.FRESHEST_CRL, ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
})  # fmt: skip
_MESSAGE_SIGNED: Final = frozenset({SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ED448})
_UNREADABLE: Final = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


class MalformedCrlError(ValueError):
    """A CRL that cannot be read, or that asks for something unknown; the message says which."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which certificates a CRL is about (the issuing distribution point, section 5.2.5).

    ``names`` are those of its distribution point, None where it has none; ``reasons`` are the ones that it covers.
    """

    names: frozenset[GeneralNameKey] | None = None
    only_users: bool = False
    only_cas: bool = False
    only_attributes: bool = False
    reasons: frozenset[x509.ReasonFlags] = ALL_REASONS
    indirect: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Seal:
    """A CRL's signature, and what it signs: the digest, so that a large CRL need not be kept to be checked.

    ``scheme`` is a padding for RSA, an ECDSA for elliptic curves, None for Ed25519 and Ed448, which sign ``signed``
    as a message (``digest`` is None then).
    """

    scheme: padding.PSS | padding.PKCS1v15 | ec.ECDSA | None
    digest: hashes.HashAlgorithm | None
    signed: bytes | memoryview
    signature: bytes


Group = tuple[NameKey, bytes | None, Scope, bool]


@dataclass(frozen=True, slots=True, eq=False)
class Crl:
    """What one CRL says. Times are Unix seconds; ``base`` is the number that a delta CRL builds on.

    ``entries`` are the listed serials by the name of the certificates' issuer: one name, but for an indirect CRL.
    ``freshest`` are the addresses at which its delta CRLs are said to be. ``fetched_at`` is for whoever tells of a kept
    CRL when it came; None elsewhere.
    """

    source: str
    issuer: str
    issuer_key: NameKey
    authority_key: bytes | None
    number: int | None
    base: int | None
    this_update: float
    next_update: float
    scope: Scope
    freshest: tuple[str, ...]
    seal: Seal
    entries: Mapping[NameKey, SerialIndex]
    fetched_at: float | None = None

    def __len__(self) -> int:
        """Return the number of listed certificates."""
        return sum(map(len, self.entries.values()))

    @property
    def group(self) -> Group:
        """What CRLs have in common of which the newest counts: issuer, key, scope, and being a delta or complete."""
        return self.issuer_key, self.authority_key, self.scope, self.base is not None


def read_crl(der: bytes, source: str) -> Crl:
    """Read one DER CRL that came from ``source``. Raises MalformedCrlError."""
    try:
        return _read(x509.load_der_x509_crl(der), der, source)
    except _UNREADABLE as fault:
        raise MalformedCrlError(printable(f"the CRL cannot be used: {fault}")) from fault


def restore_crl(
    skeleton: bytes, signed: bytes | memoryview, entries: Mapping[NameKey, SerialIndex], source: str
) -> Crl:
    """Make a CRL of what was kept of it: its skeleton, what its seal says it signed, and its entries.

    It is checked as ``read_crl`` does, but for the entries. Raises MalformedCrlError.
    """
    try:
        return _crl(x509.load_der_x509_crl(skeleton), signed, entries, source)
    except _UNREADABLE as fault:
        raise MalformedCrlError(printable(f"the CRL cannot be used: {fault}")) from fault


def _read(crl: x509.CertificateRevocationList, der: bytes, source: str) -> Crl:
    parts = parts_of(der)
    bare = _crl(crl, _signed(crl, memoryview(der)[parts.signed]), {}, source)
    walk = Walk(bare.issuer_key, indirect=bare.scope.indirect, delta=bare.base is not None)
    return replace(bare, entries=walk.run(der, parts.entries.start, parts.entries.stop))


def _crl(
    crl: x509.CertificateRevocationList, signed: bytes | memoryview, entries: Mapping[NameKey, SerialIndex], source: str
) -> Crl:
    extensions = crl.extensions
    for extension in extensions:
        if extension.critical and extension.oid not in _KNOWN:
            raise ValueError(f"critical extension {extension.oid.dotted_string} is not known")
    key = _value(extensions, x509.AuthorityKeyIdentifier)
    number = _value(extensions, x509.CRLNumber)
    delta = _value(extensions, x509.DeltaCRLIndicator)
    if delta is not None and number is None:
        raise ValueError("it is a delta CRL without a CRL number")
    if crl.next_update_utc is None:
        raise ValueError("it has no nextUpdate, so nobody could tell when it is out of date")
    issuer = name_key(crl.issuer)
    return Crl(
        source=source,
        issuer=crl.issuer.rfc4514_string(),
        issuer_key=issuer,
        authority_key=None if key is None else key.key_identifier,
        number=None if number is None else number.crl_number,
        base=None if delta is None else delta.crl_number,
        this_update=crl.last_update_utc.timestamp(),
        next_update=crl.next_update_utc.timestamp(),
        scope=_scope(_value(extensions, x509.IssuingDistributionPoint), issuer),
        freshest=_addresses(_value(extensions, x509.FreshestCRL)),
        seal=_seal(crl, signed),
        entries=entries,
    )


def _value(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _scope(point: x509.IssuingDistributionPoint | None, issuer: NameKey) -> Scope:
    if point is None:
        return Scope()
    return Scope(
        names=point_names(point.full_name, point.relative_name, issuer),
        only_users=point.only_contains_user_certs,
        only_cas=point.only_contains_ca_certs,
        only_attributes=point.only_contains_attribute_certs,
        reasons=ALL_REASONS if point.only_some_reasons is None else ALL_REASONS & point.only_some_reasons,
        indirect=point.indirect_crl,
    )


def _addresses(points: Iterable[x509.DistributionPoint] | None) -> tuple[str, ...]:
    names = (name for point in points or () for name in point.full_name or ())
    return tuple(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))


def _seal(crl: x509.CertificateRevocationList, signed: bytes | memoryview) -> Seal:
    scheme = crl.signature_algorithm_parameters
    if crl.signature_algorithm_oid in _MESSAGE_SIGNED:
        return Seal(None, None, signed, crl.signature)
    digest = crl.signature_hash_algorithm
    if digest is None or not isinstance(scheme, padding.PSS | padding.PKCS1v15 | ec.ECDSA):
        raise ValueError(f"signature algorithm {crl.signature_algorithm_oid.dotted_string} is not supported")
    if digest.name in WEAK_HASHES:
        raise ValueError(f"it is signed with {digest.name}; SHA-256 and up are accepted")
    return Seal(scheme, digest, bytes(signed), crl.signature)


def _signed(crl: x509.CertificateRevocationList, octets: memoryview) -> bytes:
    """Return what a seal keeps of the signed ``octets``."""
    if crl.signature_algorithm_oid in _MESSAGE_SIGNED or crl.signature_hash_algorithm is None:
        return bytes(octets)
    hasher = hashes.Hash(crl.signature_hash_algorithm)
    hasher.update(octets)
    return hasher.finalize()
