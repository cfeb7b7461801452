"""Revocation: how a verified chain stands by all that its bundle asks. CRLs and responders must all be content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from proxy.decide.facts import Certificate, read_certificate
from proxy.decide.peer.chain import Bundle, Peer, peer_of
from proxy.decide.peer.crl.settings import Revocation
from proxy.decide.peer.crl.status import check_revocation
from proxy.decide.peer.depth import Check, looked_up
from proxy.decide.peer.ocsp.settings import Mode
from proxy.decide.peer.ocsp.status import Subject, standing_of
from proxy.decide.peer.standing import Good, Standing, all_of


def check(peer: Peer, chain: tuple[Certificate, ...], bundle: Bundle, now: float) -> Standing:
    """Say how a verified ``chain`` (leaf first, anchor last) that ``peer`` led to ``bundle`` with stands at ``now``."""
    revocation = bundle.revocation
    if revocation is None or revocation.check is Check.NONE:
        return Good()
    return all_of((*by_crls(peer, chain, bundle, revocation, now), *by_ocsp(peer, chain, bundle, revocation, now)))


def by_crls(
    peer: Peer, chain: tuple[Certificate, ...], bundle: Bundle, revocation: Revocation, now: float
) -> Iterator[Standing]:
    """Yield what the CRLs say, where the bundle asks them."""
    if revocation.asks_crls:
        yield check_revocation(peer, chain, bundle, revocation, now)


def by_ocsp(
    peer: Peer, chain: tuple[Certificate, ...], bundle: Bundle, revocation: Revocation, now: float
) -> Iterator[Standing]:
    """Yield what the responders say, certificate by certificate, where the bundle asks them."""
    ocsp = revocation.ocsp
    if ocsp is None or ocsp.mode is Mode.OFF:
        return
    for depth, cert in enumerate(looked_up(chain, ocsp.check or revocation.check)):
        above = chain[depth + 1 :]

        def vouch(delegate: bytes, above: tuple[Certificate, ...] = above) -> Standing:
            return _of_delegate(delegate, above, peer, bundle, revocation, now)

        subject = Subject(cert, above[0], depth, bundle.name)
        yield standing_of(subject, ocsp, revocation.answers, vouch, now)


def _of_delegate(  # noqa: PLR0917 - a chain's judgement, and whom it is about
    der: bytes, above: tuple[Certificate, ...], peer: Peer, bundle: Bundle, revocation: Revocation, now: float
) -> Standing:
    """Ask the bundle's CRLs about a responder's certificate; without CRLs it counts until it ends."""
    if not revocation.asks_crls:
        return Good()
    delegate = read_certificate(der)
    asked = replace(revocation, check=Check.LEAF)
    shown = peer_of((delegate, *above, *peer.intermediates))
    return check_revocation(shown, (delegate, *above), bundle, asked, now)
