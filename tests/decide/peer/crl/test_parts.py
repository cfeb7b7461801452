"""Parts: a CRL's skeleton says what the CRL says, without its entries."""

from __future__ import annotations

import pytest
from cryptography import x509

from proxy.decide.peer.crl.der import DerError
from proxy.decide.peer.crl.parts import parts_of, skeleton_of
from tests.support.certificates import make_ca
from tests.support.crls import make_crl, point, uri


@pytest.mark.parametrize("count", [0, 1, 3, 10, 2000])
def test_a_skeleton_is_the_crl_without_its_entries(count: int) -> None:
    """Whatever the lengths around them were."""
    scoped = point(full_name=uri("http://crl.example/1"))
    der = make_crl(make_ca(), {1000 + serial: serial % 2 for serial in range(count)}, number=7, extensions=[scoped])
    whole, bare = x509.load_der_x509_crl(der), x509.load_der_x509_crl(skeleton_of(der))
    assert (len(whole), len(bare)) == (count, 0)
    assert bare.issuer == whole.issuer
    assert list(bare.extensions) == list(whole.extensions)
    assert (bare.last_update_utc, bare.next_update_utc) == (whole.last_update_utc, whole.next_update_utc)
    assert bare.signature == whole.signature
    assert skeleton_of(skeleton_of(der)) == skeleton_of(der)


def test_the_parts_lie_where_the_library_sees_them() -> None:
    """The signed part with its tag; the entries within it."""
    der = make_crl(make_ca(), {5: 0, 6: 1})
    parts = parts_of(der)
    assert der[parts.signed] == x509.load_der_x509_crl(der).tbs_certlist_bytes
    assert parts.signed.start < parts.listing.start < parts.entries.start < parts.entries.stop == parts.listing.stop


def test_octets_behind_it_are_an_error() -> None:
    """Two CRLs in one DER file are not one."""
    der = make_crl(make_ca())
    with pytest.raises(DerError, match="octets follow the CRL"):
        skeleton_of(der + der)
