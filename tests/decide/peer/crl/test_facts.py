"""Facts: what a CRL says, and what is not accepted of one."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.peer.crl.facts import ALL_REASONS, MalformedCrlError, Scope, read_crl
from proxy.decide.peer.crl.index import Entry
from proxy.decide.peer.crl.names import name_key
from proxy.decide.peer.crl.verify import check_signer
from tests.support.certificates import DAY, NOW, make_ca, name
from tests.support.crls import REVOKED_AT, at, crl_of, make_crl, point, uri

CA = make_ca("CA")
GOOD = make_crl(CA, {5: 1, 300: 0, 1 << 100: 6})
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def test_a_crl_says_who_when_and_whom() -> None:
    """Names, numbers, dates and entries."""
    crl = crl_of(CA, {5: 1, 300: 0}, number=12, extensions=[(x509.FreshestCRL([at("http://x/d.crl")]), False)])
    assert (crl.issuer, crl.number, crl.base, len(crl)) == ("CN=CA", 12, None, 2)
    assert (crl.this_update, crl.next_update) == (NOW - DAY, NOW + 9 * DAY)
    assert (crl.scope, crl.freshest) == (Scope(), ("http://x/d.crl",))
    index = crl.entries[crl.issuer_key]
    assert (index.find(5), index.find(300), index.find(6)) == (Entry(REVOKED_AT, 1), Entry(REVOKED_AT, 0), None)


def test_the_issuing_distribution_point_is_the_scope() -> None:
    """Names, kind, reasons and indirection."""
    some = frozenset({x509.ReasonFlags.key_compromise})
    extension = point(
        full_name=uri("http://x/1"), only_contains_user_certs=True, only_some_reasons=some, indirect_crl=True
    )
    scope = crl_of(CA, extensions=[extension]).scope
    assert scope.names is not None
    assert (scope.only_users, scope.only_cas, scope.reasons, scope.indirect) == (True, False, some, True)
    assert some < ALL_REASONS


def test_an_indirect_crl_keeps_the_entries_of_each_issuer_apart() -> None:
    """RFC 5280, section 5.3.3: the certificate's issuer goes with the entry."""
    indirect = point(indirect_crl=True)
    crl = crl_of(CA, {5: 0}, extensions=[indirect], certificate_issuer=name("Other"))
    assert crl.entries[name_key(name("OTHER"))].find(5) is not None
    assert crl.entries[crl.issuer_key].find(5) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base": 1, "number": None}, "delta CRL without a CRL number"),
        ({"extensions": [(UNKNOWN, True)]}, "critical extension 1.2.3.4 is not known"),
        ({"listed": {5: 8}}, "removeFromCRL, which only delta CRLs have"),
        ({"listed": {5: 0}, "certificate_issuer": name("Other")}, "does not say that it is indirect"),
        ({"digest": hashes.SHA224()}, "signed with sha224"),
    ],
)
def test_what_could_not_be_honoured_is_an_error(options: dict[str, object], words: str) -> None:
    """Nothing that is not understood is passed over."""
    with pytest.raises(MalformedCrlError, match=words):
        crl_of(CA, **options)


def test_an_unknown_extension_that_is_not_critical_is_passed_over() -> None:
    """RFC 5280, section 5.2."""
    assert crl_of(CA, extensions=[(UNKNOWN, False)]).number == 1


SIGNED = read_crl(GOOD, "whole").seal.signed


@given(st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 10_000))
def test_no_damage_raises_anything_else(place: int, bits: int, cut: int) -> None:
    """Truncated or altered octets are an error of the CRL, or a signature that does not match.

    But for the octet that counts the signature's unused bits: where these happen to be zeros, both mean the same.
    """
    altered = bytearray(GOOD)
    altered[place % len(GOOD)] ^= bits
    for damaged in (bytes(altered), GOOD[: cut % len(GOOD)], GOOD + b"\0"):
        try:
            crl = read_crl(damaged, "damaged")
        except MalformedCrlError:
            continue
        assert check_signer(crl, CA.certificate) is not None or crl.seal.signed == SIGNED


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()], ids=["RSA", "Ed25519"]
)
def test_every_kind_of_key_signs(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> None:
    """And another key of the same kind does not match."""
    issuer, other = make_ca("CA", key=key), make_ca("CA")
    crl = crl_of(issuer, {5: 1})
    assert check_signer(crl, issuer.certificate) is None
    assert check_signer(crl, other.certificate) == "the CRL's signature does not match its key"
