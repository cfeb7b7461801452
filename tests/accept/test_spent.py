"""What a handshake leaves behind: the peer's chains go, the session goes on, and what we do not know stays."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.accept import spent
from proxy.accept.spent import EMPTIES
from proxy.accept.tls import Session, ffi, lib
from proxy.operate.demo.pki import Credential, Leaf
from tests.support.memory import CA, LenientJudge, MemoryClient, shake

VERSIONS = pytest.mark.parametrize("tls12", [True, False], ids=["1.2", "1.3"])
MIDDLE = CA.intermediate("middle")
BELOW = MIDDLE.issue(Leaf(subject="below"))
LONG = Credential(BELOW.certificate, BELOW.key, (MIDDLE.certificate,))
"""A client that sends an intermediate along."""


def sizes(session: Session) -> tuple[int, int]:
    """Return how many certificates OpenSSL keeps: in the chain that it verified, and beside the leaf as sent."""
    ssl: Any = session._ssl
    chains = lib.SSL_get0_verified_chain(ssl), lib.SSL_get_peer_cert_chain(ssl)
    verified, sent = (0 if chain == ffi.NULL else lib.sk_X509_num(chain) for chain in chains)
    return verified, sent


@VERSIONS
def test_the_chains_of_the_peer_are_freed_and_the_session_goes_on(tls12: bool) -> None:
    """Asked twice, too."""
    client = MemoryClient(LONG, tls12=tls12)
    session = shake(LenientJudge(), client)
    verified, sent = sizes(session)
    assert verified
    assert sent == 1
    session.forget_chains()
    session.forget_chains()
    assert sizes(session) == (0, 0)
    assert session.read(client.say(b"still here")) == b"still here"
    assert client.hear(session.write(b"and there")) == b"and there"


def test_a_client_without_a_certificate_has_no_chains() -> None:
    """Nothing is freed that is not there."""
    session = shake(LenientJudge(asks=False, insists=False), MemoryClient(None))
    session.forget_chains()
    assert sizes(session) == (0, 0)


def test_stacks_of_another_layout_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an OpenSSL whose stacks do not begin with their count."""
    monkeypatch.setattr(spent, "EMPTIES", False)
    session = shake(LenientJudge(), MemoryClient(LONG))
    before = sizes(session)
    session.forget_chains()
    assert sizes(session) == before


def test_this_openssl_is_known() -> None:
    """Else a connection takes 5 KB more for each certificate that its client sends along."""
    assert EMPTIES
