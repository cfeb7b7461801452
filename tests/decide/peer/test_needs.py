"""Needs: plain values with a key that says who is asked, how, and about whom."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any, Final

import pytest

from proxy.decide.peer.needs import CrlNeed, Nonce, OcspNeed

OCSP: Final = OcspNeed(
    bundle="cdn", urls=("http://ocsp.example/",), certificate=b"leaf", issuer=b"issuer", fingerprint="ab" * 32,
    depth=0, digest="sha1", nonce=Nonce.ASK, max_age=None, timeout=2.0,
)  # fmt: skip
CRL: Final = CrlNeed("cdn", ("http://crl.example/a.crl", "http://crl.example/b.crl"), "ab" * 32, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"urls": ("http://other.example/",)}, {"issuer": b"another key"}, {"fingerprint": "cd" * 32},
        {"digest": "sha256"}, {"nonce": Nonce.OFF}, {"max_age": 60.0},
    ],
)  # fmt: skip
def test_another_question_has_another_key(changes: dict[str, Any]) -> None:
    """So that no answer is taken for another one's."""
    assert replace(OCSP, **changes).key != OCSP.key


@pytest.mark.parametrize("changes", [{"bundle": "partners"}, {"timeout": 9.0}, {"depth": 1}])
def test_the_same_question_has_the_same_key_whoever_asks(changes: dict[str, Any]) -> None:
    """One request serves all bundles."""
    assert replace(OCSP, **changes).key == OCSP.key


def test_a_crl_is_one_need_for_all_its_certificates() -> None:
    """Its addresses count, in their order, and where one ends."""
    assert replace(CRL, fingerprint="cd" * 32, depth=1).key == CRL.key
    assert replace(CRL, bundle="other").key != CRL.key
    keys = {CRL.key, replace(CRL, urls=CRL.urls[::-1]).key, replace(CRL, urls=("".join(CRL.urls),)).key, OCSP.key}
    assert len(keys) == 4


@pytest.mark.parametrize("need", [OCSP, CRL])
def test_a_need_travels_to_another_process(need: OcspNeed | CrlNeed) -> None:
    """With or without its key worked out before."""
    before, after = pickle.dumps(need), need.key
    for octets in (before, pickle.dumps(need)):
        arrived = pickle.loads(octets)  # noqa: S301 - our own
        assert (arrived, arrived.key) == (need, after)


def test_a_need_says_who_is_asked() -> None:
    """For the detail of a refusal."""
    assert str(OCSP) == "an OCSP answer of http://ocsp.example/"
    assert str(CRL) == "the CRL at http://crl.example/a.crl or http://crl.example/b.crl"
