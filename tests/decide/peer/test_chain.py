"""Chains: what OpenSSL and the checks beside it refuse, and at which depth."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from proxy.decide.facts import read_certificate
from proxy.decide.peer.chain import (
    MAX_INTERMEDIATES,
    Bundle,
    check_hashes,
    peer_of,
    verify,
)
from proxy.decide.peer.windows import Window
from proxy.decide.verdict import Reason, Refused
from tests.support.certificates import CLIENT, DAY, NOW, SERVER, Issued, make_ca, make_leaf

_ROOT = make_ca("Root")
_MIDDLE = make_ca("Middle", _ROOT)


def _verify(
    *chain: Issued, anchors: tuple[Issued, ...] = (_ROOT,), now: float = NOW, require_eku: bool = False,
) -> object:
    bundle = Bundle("test", tuple(anchor.certificate for anchor in anchors), require_eku)
    return verify(peer_of(issued.certificate for issued in chain), bundle, now)


def _refusal(
    *chain: Issued, anchors: tuple[Issued, ...] = (_ROOT,), now: float = NOW, require_eku: bool = False,
) -> Refused:
    verdict = _verify(*chain, anchors=anchors, now=now, require_eku=require_eku)
    assert isinstance(verdict, Refused), verdict
    return verdict


def _certificates(*chain: Issued) -> tuple[object, ...]:
    return tuple(issued.certificate for issued in chain)


def test_a_leaf_of_the_anchor_is_verified() -> None:
    """The chain is the leaf and its anchor."""
    leaf = make_leaf(_ROOT)
    assert _verify(leaf) == _certificates(leaf, _ROOT)


def test_an_intermediate_leads_to_the_anchor() -> None:
    """The client sends what is between."""
    leaf = make_leaf(_MIDDLE)
    assert _verify(leaf, _MIDDLE) == _certificates(leaf, _MIDDLE, _ROOT)


def test_a_missing_intermediate_is_untrusted() -> None:
    """Nothing is fetched to complete a chain."""
    assert _refusal(make_leaf(_MIDDLE)).reason is Reason.UNTRUSTED_ISSUER


def test_an_intermediate_can_be_the_anchor() -> None:
    """A chain ends at the first anchor, and its root need not be known."""
    leaf = make_leaf(_MIDDLE)
    assert _verify(leaf, anchors=(_MIDDLE,)) == _certificates(leaf, _MIDDLE)
    assert _verify(leaf, _MIDDLE, anchors=(_MIDDLE,)) == _certificates(leaf, _MIDDLE)


def test_a_refusal_names_the_bundle_that_was_asked() -> None:
    """A client may be trusted by another route's bundle; the operator has to see which one refused it."""
    assert _refusal(make_leaf(_MIDDLE)).detail.startswith("no path to an anchor of bundle ")


def test_a_sibling_of_an_intermediate_anchor_is_untrusted() -> None:
    """To trust an intermediate is not to trust its root."""
    assert _refusal(make_leaf(_ROOT), _ROOT, anchors=(_MIDDLE,)).reason is Reason.UNTRUSTED_ISSUER


def test_extra_certificates_are_neither_identity_nor_chain() -> None:
    """A valid certificate behind an untrusted leaf helps it nothing, and behind a trusted one changes nothing."""
    good, rogue = make_leaf(_ROOT, "good"), make_leaf(make_ca("Rogue"), "rogue")
    assert _refusal(rogue, good, _ROOT).reason is Reason.UNTRUSTED_ISSUER
    assert _verify(good, rogue) == _certificates(good, _ROOT)


@pytest.mark.parametrize(
    "leaf", [make_leaf(make_ca("Rogue")), make_leaf(None), make_leaf(make_leaf(_ROOT, "not a CA"))],
)
def test_a_stranger_is_untrusted(leaf: Issued) -> None:
    """Another CA, a self-signed leaf, and a leaf signed by a leaf that is not sent."""
    assert _refusal(leaf).reason is Reason.UNTRUSTED_ISSUER


def test_a_leaf_cannot_issue() -> None:
    """A certificate without the CA constraint issues nothing, even when it is sent along."""
    middle = make_ca("Not a CA", _ROOT, is_ca=False)
    assert _refusal(make_leaf(middle), middle).reason is Reason.UNTRUSTED_ISSUER


def test_the_same_name_with_another_key_is_a_bad_signature() -> None:
    """The name of a CA proves nothing."""
    refusal = _refusal(make_leaf(make_ca("Root")))
    assert refusal.reason in {Reason.BAD_SIGNATURE, Reason.UNTRUSTED_ISSUER}


def test_a_refusal_leaves_no_error_behind() -> None:
    """OpenSSL's error queue belongs to the thread: what stays in it would be read as the next connection's failure."""
    _refusal(make_leaf(make_ca("Root")))
    assert Binding().lib.ERR_peek_error() == 0


def test_time_is_an_argument() -> None:
    """A leaf is valid from notBefore on, until notAfter."""
    leaf = make_leaf(_ROOT, not_before=NOW, not_after=NOW + DAY)
    early = _refusal(leaf, now=NOW - 1)
    assert (early.reason, early.depth, early.until) == (Reason.NOT_YET_VALID, 0, NOW)
    assert _verify(leaf, now=NOW) == _certificates(leaf, _ROOT)
    assert _verify(leaf, now=NOW + DAY - 1) == _certificates(leaf, _ROOT)
    late = _refusal(leaf, now=NOW + DAY + 1)
    assert (late.reason, late.depth, late.until) == (Reason.EXPIRED, 0, inf)


@pytest.mark.parametrize("depth", [1, 2])
def test_issuers_expire_too(depth: int) -> None:
    """An expired intermediate and an expired anchor refuse, and the refusal says where."""
    root = make_ca("Root", not_after=NOW - DAY if depth == 2 else NOW + DAY)
    middle = make_ca("Middle", root, not_after=NOW - DAY if depth == 1 else NOW + DAY)
    refusal = _refusal(make_leaf(middle), middle, anchors=(root,))
    assert (refusal.reason, refusal.depth) == (Reason.EXPIRED, depth)


def test_one_bundle_is_asked_at_many_times() -> None:
    """The time of one judgement is not the time of the next: OpenSSL's stores keep the first that they are given."""
    bundle = Bundle("test", (_ROOT.certificate,))
    peer = peer_of([make_leaf(_ROOT, not_before=NOW, not_after=NOW + DAY).certificate])
    times = (NOW, NOW - DAY, NOW + 2 * DAY, NOW)
    verdicts = [verify(peer, bundle, now) for now in times]
    reasons = [verdict.reason if isinstance(verdict, Refused) else None for verdict in verdicts]
    assert reasons == [None, Reason.NOT_YET_VALID, Reason.EXPIRED, None]


def test_an_anchor_is_replaced_by_a_newer_one_of_the_same_name_and_key() -> None:
    """While anchors are rotated, the valid one is found, whichever comes first."""
    old = make_ca("Root", key=_ROOT.key, not_after=NOW - DAY)
    leaf = make_leaf(_ROOT)
    for anchors in ((old, _ROOT), (_ROOT, old)):
        assert _verify(leaf, anchors=anchors) == _certificates(leaf, _ROOT)


def test_a_refusal_ends_when_the_issuer_becomes_valid() -> None:
    """A verdict that only the clock changes says when: it must not be kept for longer."""
    middle = make_ca("Middle", _ROOT, not_before=NOW + DAY)
    refusal = _refusal(make_leaf(middle), middle)
    assert (refusal.reason, refusal.depth, refusal.until) == (Reason.NOT_YET_VALID, 1, NOW + DAY)


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256K1())],  # noqa: S505 - weak on purpose
)
def test_weak_keys_are_refused(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    """A short RSA key or a curve that TLS 1.3 does not have, in a leaf or in an anchor."""
    leaf = _refusal(make_leaf(_ROOT, key=key))
    assert (leaf.reason, leaf.depth) == (Reason.WEAK_KEY, 0)
    weak = make_ca("Weak", key=key)
    anchor = _refusal(make_leaf(weak), anchors=(weak,))
    assert (anchor.reason, anchor.depth) == (Reason.WEAK_KEY, 1)


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
)
def test_strong_keys_are_accepted(key: CertificateIssuerPrivateKeyTypes) -> None:
    """The least of RSA, the largest of EC, and Ed25519."""
    leaf = make_leaf(_ROOT, key=key)
    assert _verify(leaf) == _certificates(leaf, _ROOT)


def test_weak_hashes_are_refused() -> None:
    """SHA-224 for real; SHA-1, which nothing here signs with any more, as a fact."""
    assert _refusal(make_leaf(_ROOT, signature_hash=hashes.SHA224())).reason is Reason.WEAK_KEY
    old = replace(make_leaf(_ROOT).certificate, signature_hash="sha1")
    refusal = check_hashes((old, _ROOT.certificate))
    assert refusal is not None
    assert (refusal.reason, refusal.depth) == (Reason.WEAK_KEY, 0)
    assert check_hashes((old,)) is None


@pytest.mark.parametrize("eku", [SERVER, (x509.ObjectIdentifier("2.5.29.37.0"),)], ids=["serverAuth", "any"])
def test_another_purpose_is_refused(eku: tuple[x509.ObjectIdentifier, ...]) -> None:
    """An extended key usage without clientAuth refuses in a leaf, in an intermediate, and in a leaf as anchor."""
    leaf = make_leaf(_ROOT, eku=eku)
    middle = make_ca("Server CA", _ROOT, eku=eku)
    for refusal, depth in (
        (_refusal(leaf), 0),
        (_refusal(make_leaf(middle), middle), 1),
        (_refusal(leaf, anchors=(leaf,)), 0),
    ):
        assert (refusal.reason, refusal.depth) == (Reason.WRONG_PURPOSE, depth)


def test_several_purposes_are_fine_when_client_is_one() -> None:
    """Having clientAuth beside serverAuth is what many CAs issue."""
    leaf = make_leaf(_ROOT, eku=(*SERVER, *CLIENT))
    assert _verify(leaf) == _certificates(leaf, _ROOT)


def test_no_purpose_is_refused_only_where_one_is_required() -> None:
    """An absent extended key usage allows all, unless the bundle says otherwise."""
    leaf = make_leaf(_ROOT, eku=None)
    assert _verify(leaf) == _certificates(leaf, _ROOT)
    assert _refusal(leaf, require_eku=True).reason is Reason.WRONG_PURPOSE
    stated = make_leaf(_ROOT)
    assert _verify(stated, require_eku=True) == _certificates(stated, _ROOT)


def test_a_key_that_must_not_sign_is_refused() -> None:
    """TLS signs with the client's key."""
    assert _refusal(make_leaf(_ROOT, digital_signature=False)).reason is Reason.WRONG_PURPOSE


def test_chains_have_an_end() -> None:
    """The longest chain is admitted, one more is not."""
    chain = [make_ca("CA 0", _ROOT)]
    for number in range(1, MAX_INTERMEDIATES + 1):
        chain.insert(0, make_ca(f"CA {number}", chain[0]))
    longest = make_leaf(chain[1])
    assert _verify(longest, *chain[1:]) == _certificates(longest, *chain[1:], _ROOT)
    assert _refusal(make_leaf(chain[0]), *chain).reason is Reason.CHAIN_TOO_LONG


def test_path_length_constraints_are_kept() -> None:
    """A CA that may issue leaves only issues no other CA."""
    short = make_ca("Short", _ROOT, path_length=0)
    below = make_ca("Below", short)
    assert _refusal(make_leaf(below), below, short).reason is Reason.CHAIN_TOO_LONG


def test_an_unknown_critical_extension_is_refused() -> None:
    """What must be understood and is not, refuses (RFC 5280, section 4.2)."""
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    assert _refusal(make_leaf(_ROOT, extensions=[(unknown, True)])).reason is Reason.UNSUPPORTED_EXTENSION


def test_name_constraints_are_kept() -> None:
    """A CA that is bound to a domain names nobody outside."""
    bound = x509.NameConstraints(permitted_subtrees=[x509.DNSName("cdn.example")], excluded_subtrees=None)
    constrained = make_ca("Bound", _ROOT, extensions=[(bound, True)])
    outside = make_leaf(constrained, dns=["cdn.evil"])
    inside = make_leaf(constrained, dns=["a.cdn.example"])
    assert _refusal(outside, anchors=(constrained,)).reason is Reason.NAME_NOT_ALLOWED
    assert _verify(inside, anchors=(constrained,)) == _certificates(inside, constrained)


def test_what_only_openssl_cannot_read_is_malformed() -> None:
    """OpenSSL's own parser has the last word, as a refusal and not as an exception."""
    leaf = make_leaf(_ROOT, "client").certificate
    # A tag that no directory string has, inside the subject: cryptography reads it, OpenSSL does not.
    broken = read_certificate(leaf.der.replace(b"\x0c\x06client", b"\x17\x06client"))
    bundle = Bundle("test", (_ROOT.certificate,))
    verdict = verify(peer_of([broken]), bundle, NOW)
    assert isinstance(verdict, Refused)
    assert verdict.reason in {Reason.MALFORMED_CERTIFICATE, Reason.BAD_SIGNATURE}


@pytest.mark.filterwarnings("ignore:Attribute.s length")
def test_hostile_text_is_escaped_and_cut() -> None:
    """A subject with line ends and a lot of text stays one short line in the detail."""
    refusal = _refusal(make_leaf(make_ca("Rogue"), "evil\r\nevent: admitted " + "x" * 5000))
    assert "\n" not in refusal.detail
    assert r"evil\r\n" in refusal.detail
    assert len(refusal.detail) < 512


def test_the_key_of_a_peer_is_its_certificates_in_order() -> None:
    """Verdicts are cached under it, so other intermediates are another peer."""
    leaf, middle = make_leaf(_MIDDLE).certificate, _MIDDLE.certificate
    keys = {peer_of(chain).key for chain in ([leaf], [leaf, middle], [middle, leaf], [leaf, middle, middle])}
    assert len(keys) == 4
    assert peer_of([leaf, middle]).key == peer_of([leaf, middle]).key


def test_the_same_bundle_judges_every_second_by_its_own_time() -> None:
    """OpenSSL keeps the first time that a store is given; a leaf that ends in between is refused from then on."""
    bundle, peer = Bundle("test", (_ROOT.certificate,)), peer_of([make_leaf(_ROOT).certificate])
    end = peer.leaf.not_after
    verdicts = [verify(peer, bundle, at) for at in (end - 0.5, end, end + 1, end + 1.5, end - 0.5)]
    assert [isinstance(verdict, Refused) for verdict in verdicts] == [False, False, True, True, False]


def test_a_store_serves_all_strangers_of_a_second() -> None:
    """Except where windows of anchors open and close, maybe within it."""
    anchors = (_ROOT.certificate,)
    bundle = Bundle("test", anchors)
    assert bundle.store_at(NOW + 0.1) is bundle.store_at(NOW + 0.9)
    assert bundle.store_at(NOW + 1) is not bundle.store_at(NOW)
    assert len(bundle._stores) == 1
    windowed = Bundle("test", anchors, windows={_ROOT.certificate.fingerprint: Window(NOW + 0.5, NOW + 2)})
    peer = peer_of([make_leaf(_ROOT).certificate])
    assert isinstance(verify(peer, windowed, NOW), Refused)
    assert not isinstance(verify(peer, windowed, NOW + 0.7), Refused)
