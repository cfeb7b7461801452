"""Distinguished names as rules ask for them: some attributes, each with exactly one value."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from proxy.decide.text import printable

MAX_DN: Final = 1024
"""Characters of a name in a setting: ten attributes of the 64 that X.520 allows most of them, and some."""

_NAMES: Final = {
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "SN": NameOID.SURNAME,
    "GN": NameOID.GIVEN_NAME,
}
"""Attributes that OpenSSL prints by name, beyond those of RFC 4514, section 3."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """A part of a distinguished name: its text, and the attributes that must all be there, as (OID, value)."""

    text: str
    wanted: tuple[tuple[str, str | bytes], ...]

    def within(self, name: x509.Name) -> bool:
        """Whether ``name`` has each wanted attribute, as often as it is wanted, with exactly that value."""
        return Counter(self.wanted) <= Counter(_pairs(name))

    def __str__(self) -> str:
        return self.text


def parse_attributes(text: str) -> Attributes:
    """Parse an RFC 4514 string, such as ``CN=Partner Issuing CA,O=Partner``; raise ValueError where it is none."""
    if len(text) > MAX_DN:
        raise ValueError(f"{printable(text, 64)!r} is longer than {MAX_DN} characters")
    try:
        pairs = _pairs(x509.Name.from_rfc4514_string(text, _NAMES))
    except (ValueError, TypeError) as fault:
        raise ValueError(_hint(text)) from fault
    if not pairs:
        raise ValueError(_hint(text))
    return Attributes(text, pairs)


def _pairs(name: x509.Name) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((attribute.oid.dotted_string, attribute.value) for attribute in name)


def _hint(text: str) -> str:
    form = "CN=Partner Issuing CA,O=Partner: no blanks around = and , and a backslash before a comma in a value"
    return f"{printable(text, 128)!r} is not a distinguished name; write it as in {form}"
