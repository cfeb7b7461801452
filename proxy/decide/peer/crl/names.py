"""Names: how the names in certificates and CRLs are compared (RFC 5280, sections 7.1 and 4.2.1.13)."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509

NameKey = tuple[frozenset[tuple[str, str]], ...]
"""A distinguished name such that equal keys mean the same name: case and runs of spaces make no difference."""

GeneralNameKey = tuple[str, object]


def name_key(name: x509.Name) -> NameKey:
    """Return the key of a distinguished name."""
    return tuple(_rdn_key(rdn) for rdn in name.rdns)


def _rdn_key(rdn: x509.RelativeDistinguishedName) -> frozenset[tuple[str, str]]:
    return frozenset((attribute.oid.dotted_string, _text(attribute.value)) for attribute in rdn)


def _text(value: str | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else " ".join(value.casefold().split())


def general_key(name: x509.GeneralName) -> GeneralNameKey:
    """Return the key of a general name; distinguished names are compared as such, others octet by octet."""
    if isinstance(name, x509.DirectoryName):
        return "directory", name_key(name.value)
    return type(name).__name__, name.value


def directory_key(name: NameKey) -> GeneralNameKey:
    """Return the key that ``general_key`` gives to a distinguished name."""
    return "directory", name


def point_names(
    full: Iterable[x509.GeneralName] | None, relative: x509.RelativeDistinguishedName | None, above: NameKey
) -> frozenset[GeneralNameKey] | None:
    """Return the names of a distribution point (RFC 5280, section 4.2.1.13), or None where it has none.

    A relative name continues ``above``, the name of the CRL's issuer.
    """
    if full is not None:
        return frozenset(map(general_key, full))
    return None if relative is None else frozenset({directory_key((*above, _rdn_key(relative)))})
