"""What a client shows: all that it sent, seen by the judge alone, whatever OpenSSL would make of it."""

from __future__ import annotations

import pytest
from cryptography import x509

from proxy.accept import shown, tls
from proxy.accept.shown import MAX_SHOWN
from proxy.accept.tls import ListenerContext, Session, TlsError
from proxy.operate.demo.pki import Credential, Leaf
from proxy.snapshot.tls import listener_context
from tests.support.memory import CA, STRANGER, LenientJudge, MemoryClient, SevereJudge, anchor, facts_of, shake

VERSIONS = pytest.mark.parametrize("tls12", [True, False], ids=["1.2", "1.3"])
MIDDLE = CA.intermediate("middle")
BELOW = MIDDLE.issue(Leaf(subject="below"))


def below(*others: x509.Certificate) -> Credential:
    """Return a leaf below an intermediate, which is sent along after ``others``."""
    return Credential(BELOW.certificate, BELOW.key, (*others, MIDDLE.certificate))


@VERSIONS
def test_the_judge_sees_all_that_was_sent_once_and_decides_alone(tls12: bool) -> None:
    """The leaf first, then the others in the order in which they came, also those of nobody's authority."""
    judge, sent = LenientJudge(), below(STRANGER.certificate)
    shake(judge, MemoryClient(sent, tls12=tls12))
    assert judge.chains == [[facts_of(sent).der, facts_of(STRANGER).der, anchor(MIDDLE).der]]
    stranger = LenientJudge()
    shake(stranger, MemoryClient(STRANGER, tls12=tls12))
    assert stranger.chains == [[facts_of(STRANGER).der]]


def test_no_more_is_looked_at_than_a_chain_can_need() -> None:
    """A client may send a hundred kilobytes of certificates."""
    judge = LenientJudge()
    shake(judge, MemoryClient(below(*[STRANGER.certificate] * 40)))
    assert [len(chain) for chain in judge.chains] == [MAX_SHOWN]


@VERSIONS
@pytest.mark.doubles
def test_where_openssl_shows_its_own_chain_only_that_is_judged(monkeypatch: pytest.MonkeyPatch, tls12: bool) -> None:
    """A library that lays its structures out in another way costs time, and lets nobody in."""
    monkeypatch.setattr(shown, "SEES_ALL", False)
    monkeypatch.setattr(tls, "VERIFY_DEPTH", MAX_SHOWN)
    listener = ListenerContext(listener_context())
    judge, sent = LenientJudge(), below(STRANGER.certificate)
    shake(judge, MemoryClient(sent, tls12=tls12), Session(listener))
    assert judge.chains == [[facts_of(sent).der, anchor(MIDDLE).der]]
    severe = SevereJudge(23)
    with pytest.raises(TlsError):
        shake(severe, MemoryClient(sent, tls12=tls12), Session(listener))
    assert len(severe.chains) == 1


def test_this_openssl_is_laid_out_as_known() -> None:
    """Where this fails, handshakes are still right, but cost what they need not."""
    assert shown.SEES_ALL
