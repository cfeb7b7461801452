"""The store: what replaces what, and that a signature is checked once."""

from __future__ import annotations

from math import inf

import pytest

from proxy.decide.facts import Certificate
from proxy.decide.peer.crl import store as module
from proxy.decide.peer.crl.facts import Crl
from proxy.decide.peer.crl.store import SKEW, CrlStore
from tests.support.certificates import DAY, NOW, make_ca
from tests.support.crls import crl_of, point

CA = make_ca("CA")


def test_a_newer_number_replaces_an_older_one_of_the_same_scope_only() -> None:
    """Other scopes, keys and kinds stand beside each other."""
    old, new = crl_of(CA, number=1), crl_of(CA, number=2)
    users = crl_of(CA, number=1, extensions=[point(only_contains_user_certs=True)])
    delta, namesake = crl_of(CA, number=2, base=1), crl_of(make_ca("CA"), number=1)
    assert CrlStore((old, new, users, delta, namesake)).newest == (new, users, delta, namesake)


def test_a_signature_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with each handshake."""
    calls: list[Crl] = []

    def counted(crl: Crl, _signer: Certificate) -> str | None:
        calls.append(crl)
        return None

    monkeypatch.setattr(module, "check_signer", counted)
    crl = crl_of(CA)
    found = CrlStore((crl,))
    assert not found.is_checked(crl)
    assert [found.fault_of(crl, CA.certificate) for _ in range(3)] == [None, None, None]
    assert (len(calls), found.is_checked(crl)) == (1, True)


def test_the_first_of_the_crls_to_come_is_known() -> None:
    """A verdict ends when it starts to count."""
    later, soon, now = (crl_of(CA, number=n, this_update=NOW + n * DAY) for n in (3, 2, 0))
    assert CrlStore((later, now, soon)).starts_after(NOW) == NOW + 2 * DAY - SKEW
    assert CrlStore((later, now, soon)).starts_after(NOW + 2 * DAY) == NOW + 3 * DAY - SKEW
    assert CrlStore((later, now, soon)).starts_after(NOW + 3 * DAY) == inf
    assert CrlStore((now,)).starts_after(NOW) == CrlStore(()).starts_after(NOW) == inf
