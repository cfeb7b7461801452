"""Peers: certificates are parsed once, and memory is for those that were verified."""

from __future__ import annotations

import pytest

from proxy.accept import peers as module
from proxy.accept.peers import MAX_READ, Facts
from proxy.decide.facts import MalformedCertificateError
from proxy.decide.peer.chain import Peer
from tests.support.certificates import Issued, make_ca, make_leaf
from tests.support.shown import digests_of, kept_by

ROOT, OTHER = make_ca("Root"), make_ca("Other")
LEAF = make_leaf(ROOT, "edge", dns=["edge.example"])


def read(facts: Facts, *chain: Issued) -> Peer:
    """Read certificates that are shown."""
    return facts.read(digests_of(*chain), lambda index: chain[index].certificate.der)


def test_known_certificates_are_not_parsed_again() -> None:
    """Neither with the same ones beside them, nor with others."""
    facts, digests = Facts(), digests_of(LEAF, ROOT)
    assert facts.known(digests) is None
    first = read(facts, LEAF, ROOT)
    facts.keep(digests, first)
    assert facts.known(digests) is first
    assert facts.known(digests_of(LEAF)) is None
    assert facts.read(digests_of(LEAF), bytes).leaf is first.leaf


@pytest.mark.doubles
def test_the_memory_of_certificates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first, and is a stranger when it comes back."""
    monkeypatch.setattr(module, "MAX_CERTIFICATES", 2)
    facts = Facts()
    for shown in ([LEAF, ROOT], [ROOT], [OTHER]):
        facts.keep(digests_of(*shown), read(facts, *shown))
    assert (len(facts._certificates), len(facts._peers)) == (2, 2)
    assert facts.known(digests_of(LEAF, ROOT)) is None
    assert facts.known(digests_of(OTHER)) is not None


def test_what_cannot_be_read_beside_the_leaf_leads_nowhere() -> None:
    """Each certificate counts once."""
    ders = [issued.certificate.der for issued in (LEAF, ROOT, ROOT)]
    digests = digests_of(LEAF, ROOT, ROOT)
    peer = Facts().read([*digests, b"\0" * 32], [*ders, b"nonsense"].__getitem__)
    assert [c.subject for c in peer.intermediates] == ["CN=Root"]
    with pytest.raises(MalformedCertificateError):
        Facts().read([b"\0" * 32], [b"nonsense"].__getitem__)


def test_a_stranger_is_read_up_to_a_bound() -> None:
    """A client may send a hundred thousand octets of certificates; chains take a few thousand."""
    large = [make_leaf(ROOT, "much", dns=[f"{index}-{number}.example" for index in range(500)]) for number in range(5)]
    assert sum(len(issued.certificate.der) for issued in large) > MAX_READ
    peer = read(Facts(), LEAF, *large)
    assert 0 < len(peer.intermediates) < len(large)


def test_wider_peers_push_out_no_others() -> None:
    """They have a memory of their own."""
    facts = Facts()
    facts.keep(digests_of(LEAF), read(facts, LEAF))
    facts.keep_wider(digests_of(LEAF, OTHER), read(facts, LEAF, OTHER))
    assert facts.known(digests_of(LEAF, OTHER)) is not None
    assert kept_by(facts) == {"CN=edge", "CN=Other"}
    assert len(facts._certificates) == 1
