"""CRLs that were written by hand are CRLs."""

from __future__ import annotations

import pytest
from cryptography import x509

from bench.revoked import make_crl
from proxy.decide.peer.crl.facts import read_crl
from proxy.operate.demo.pki import Authority, PrivateKey, ec_key, rsa_key


@pytest.mark.parametrize("entries", [0, 1, 9, 3_000])
@pytest.mark.parametrize("key", [ec_key(), rsa_key()], ids=["ecdsa", "rsa"])
def test_it_is_signed_and_lists_as_many_serials_as_asked_for(key: PrivateKey, entries: int) -> None:
    """Another reader than the one that made it counts them, all different."""
    issuer = Authority.root("Bench CA", key=key)
    der = make_crl(issuer, entries)
    crl = x509.load_der_x509_crl(der)
    assert crl.is_signature_valid(issuer.certificate.public_key())  # type: ignore[arg-type]
    assert len({entry.serial_number for entry in crl}) == entries
    assert read_crl(der, "test.crl").number == 1
