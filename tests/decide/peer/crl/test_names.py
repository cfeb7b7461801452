"""Names: which are the same."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from proxy.decide.peer.crl.names import general_key, name_key, point_names
from tests.support.certificates import name


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("CA", "ca", True), ("Issuing  CA", " issuing ca ", True), ("CA", "CB", False), ("Straße", "STRASSE", True)],
)
def test_case_and_runs_of_spaces_make_no_difference(one: str, other: str, same: bool) -> None:
    """RFC 5280, section 7.1."""
    assert (name_key(name(one)) == name_key(name(other))) is same


def test_the_order_and_kind_of_attributes_do() -> None:
    """A name is a sequence."""
    assert name_key(name("a", organization="b")) != name_key(name("b", organization="a"))
    attributes = list(name("a", organization="b"))
    assert name_key(x509.Name(attributes)) != name_key(x509.Name(attributes[::-1]))


def test_general_names_are_compared_with_their_own_kind() -> None:
    """An address is octets."""
    address = x509.UniformResourceIdentifier("http://x/a")
    assert general_key(address) == general_key(x509.UniformResourceIdentifier("http://x/a"))
    assert general_key(address) != general_key(x509.UniformResourceIdentifier("http://x/A"))
    assert general_key(address) != general_key(x509.DNSName("http://x/a"))


def test_a_relative_name_continues_the_issuers() -> None:
    """RFC 5280, section 4.2.1.13."""
    above = name("CA")
    part = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "part 1")])
    whole = x509.Name([*above.rdns, part])
    assert point_names(None, part, name_key(above)) == {general_key(x509.DirectoryName(whole))}
    assert point_names(None, None, name_key(above)) is None
