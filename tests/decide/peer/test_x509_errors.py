"""OpenSSL's verification errors: each has its reason, and says when it ends by itself."""

from __future__ import annotations

from math import inf

import pytest

from proxy.decide.peer.x509_errors import REASON_BY_X509_ERROR, refusal_of
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, make_ca, make_leaf

_ROOT = make_ca("Root")
_LEAF = make_leaf(_ROOT).certificate


@pytest.mark.parametrize("code", [1, 50, 999, *REASON_BY_X509_ERROR])
def test_every_error_has_a_reason(code: int) -> None:
    """Also the numbers that OpenSSL has not invented yet."""
    refusal = refusal_of(code, 2, "some text", "CN=x", _LEAF)
    assert refusal.reason is REASON_BY_X509_ERROR.get(code, Reason.UNTRUSTED_ISSUER)
    assert (refusal.depth, refusal.detail) == (2, f"some text (X509 error {code}) at depth 2: CN=x")


@pytest.mark.parametrize(("code", "depth", "until"), [(9, 0, _LEAF.not_before), (9, 1, 0.0), (10, 0, inf)])
def test_only_what_is_not_yet_valid_ends_by_itself(code: int, depth: int, until: float) -> None:
    """With the leaf's own start, or where an issuer is early, at a time that is past and says so."""
    assert refusal_of(code, depth, "", "", _LEAF).until == until < NOW or until == inf
