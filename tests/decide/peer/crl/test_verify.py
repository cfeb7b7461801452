"""Verify: who has signed a CRL, and what keeps a certificate from having done so."""

from __future__ import annotations

import pytest
from cryptography import x509

from proxy.decide.peer.crl.verify import check_signer, expects
from tests.support.certificates import Issued, make_ca, make_leaf
from tests.support.crls import crl_of

CA = make_ca("CA")


def identified(key_of: Issued) -> tuple[x509.ExtensionType, bool]:
    """Make a subject key identifier."""
    return x509.SubjectKeyIdentifier.from_public_key(key_of.certificate.x509.public_key()), False


def test_the_issuer_has_signed_it() -> None:
    """Name, key, usage and signature fit."""
    assert check_signer(crl_of(CA, {1: 0}), CA.certificate) is None


@pytest.mark.parametrize(
    ("signer", "fault"),
    [
        (make_ca("Another", key=CA.key), "it has another name"),
        (make_ca("CA", extensions=[identified(make_ca("X"))]), "the CRL's authority key identifier names another key"),
        (make_leaf(None, "CA", key=CA.key), "its key usage lacks cRLSign"),
        (make_ca("CA"), "the CRL's signature does not match its key"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_has_not_is_told_why(signer: Issued, fault: str) -> None:
    """One rule each."""
    assert check_signer(crl_of(CA), signer.certificate) == fault


def test_a_crl_expects_the_certificate_of_its_name_and_key() -> None:
    """Such a one must have signed it; a namesake with another key need not."""
    same = make_ca("ca", key=CA.key, extensions=[identified(CA)])
    namesake = make_ca("CA", extensions=[identified(make_ca("X"))])
    found = [expects(crl_of(CA), cert.certificate) for cert in (CA, same, namesake, make_ca("Another"))]
    assert found == [True, True, False, False]
