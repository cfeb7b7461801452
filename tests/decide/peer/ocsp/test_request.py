"""Requests: what a responder is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.ocsp import load_der_ocsp_request

from proxy.decide.peer.ocsp.request import NONCE, build_request
from tests.support.certificates import make_ca, make_leaf
from tests.support.ocsp import need_for

CA = make_ca()
LEAF = make_leaf(CA)
NEED = need_for(CA, LEAF)


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
def test_a_request_names_the_certificate_and_its_issuer(digest: str) -> None:
    """By the hash that the settings say."""
    request = load_der_ocsp_request(build_request(replace(NEED, digest=digest), None))
    assert request.serial_number == LEAF.certificate.serial
    assert request.hash_algorithm.name == digest
    assert list(request.extensions) == []


def test_a_request_carries_the_nonce() -> None:
    """As it is given, not critical."""
    nonce = bytes(range(NONCE))
    request = load_der_ocsp_request(build_request(NEED, nonce))
    (extension,) = request.extensions
    assert (extension.value, extension.critical) == (x509.OCSPNonce(nonce), False)


def test_without_a_nonce_a_request_is_the_same_each_time() -> None:
    """So that a cache between us and the responder can answer it (RFC 5019)."""
    assert build_request(NEED, None) == build_request(need_for(CA, LEAF), None)
