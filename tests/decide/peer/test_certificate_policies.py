"""Certificate policies: what a CA demands of the certificates below it; PKITS has the long list."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from cryptography import x509

from proxy.decide.facts import Certificate
from proxy.decide.peer.certificate_policies import ANY_POLICY, check_certificate_policies
from proxy.decide.peer.chain import Bundle, peer_of, verify
from proxy.decide.verdict import Reason, Refused
from tests.support.certificates import NOW, Issued, make_ca, make_leaf

GOLD, SILVER = "1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2"
Extensions = list[tuple[x509.ExtensionType, bool]]
ROOT = make_ca("Root")


def policies(*oids: str) -> Extensions:
    """Name policies."""
    named = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    return [(x509.CertificatePolicies(named), False)]


def mapped(issuers: str, subjects: str) -> Extensions:
    """Map one policy to another."""
    pair = b"".join(_element(0x06, _identifier(oid)) for oid in (issuers, subjects))
    oid = x509.oid.ExtensionOID.POLICY_MAPPINGS
    return [(x509.UnrecognizedExtension(oid, _element(0x30, _element(0x30, pair))), True)]


def _identifier(dotted: str) -> bytes:
    first, second, *arcs = map(int, dotted.split("."))
    octets = [40 * first + second]
    for arc in arcs:
        groups = [arc >> shift & 0x7F for shift in range(28, -1, -7)]
        while len(groups) > 1 and not groups[0]:
            del groups[0]
        octets += [*(group | 0x80 for group in groups[:-1]), groups[-1]]
    return bytes(octets)


def _element(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def constrained(explicit: int | None = None, mapping: int | None = None) -> Extensions:
    """Require a policy, or forbid mappings, after so many certificates."""
    return [(x509.PolicyConstraints(explicit, mapping), True)]


def no_any(after: int = 0) -> Extensions:
    """Forbid anyPolicy after so many certificates."""
    return [(x509.InhibitAnyPolicy(after), True)]


def chain(*extensions: Extensions) -> tuple[Certificate, ...]:
    """Make a chain of CAs with these extensions, from the top, and of a leaf with the last; return it leaf first."""
    issuer, made = ROOT, [ROOT]
    for number, own in enumerate(extensions):
        issuer = _issued(issuer, own, number, is_leaf=number == len(extensions) - 1)
        made.insert(0, issuer)
    return tuple(issued.certificate for issued in made)


def _issued(issuer: Issued, own: Iterable[tuple[x509.ExtensionType, bool]], number: int, *, is_leaf: bool) -> Issued:
    if is_leaf:
        return make_leaf(issuer, extensions=own)
    return make_ca(f"CA {number}", issuer, extensions=own)


DEMAND = constrained(explicit=0)

VALID = {
    "nobody asks": chain(policies(GOLD), []),
    "nobody asks, and nothing fits": chain(policies(GOLD), policies(SILVER)),
    "the same all the way": chain(policies(GOLD) + DEMAND, policies(GOLD)),
    "any above": chain(policies(ANY_POLICY) + DEMAND, policies(GOLD)),
    "any below": chain(policies(GOLD) + DEMAND, policies(ANY_POLICY)),
    "one of several": chain(policies(GOLD, SILVER) + DEMAND, policies(SILVER)),
    "mapped": chain(policies(GOLD) + mapped(GOLD, SILVER) + DEMAND, policies(SILVER)),
    "mapped from any": chain(policies(ANY_POLICY) + mapped(GOLD, SILVER) + DEMAND, policies(SILVER)),
    "required further down than the path goes": chain(constrained(explicit=2), []),
}

INVALID = {
    "none": (chain(policies(GOLD) + DEMAND, []), 0),
    "none above": (chain(DEMAND, policies(GOLD)), 0),
    "another": (chain(policies(GOLD) + DEMAND, policies(SILVER)), 0),
    "mapped away": (chain(policies(GOLD) + mapped(GOLD, SILVER) + DEMAND, policies(GOLD)), 0),
    "any is forbidden": (chain(policies(GOLD) + DEMAND + no_any(), policies(ANY_POLICY)), 0),
    "in the middle": (chain(policies(GOLD) + DEMAND, policies(SILVER), policies(SILVER)), 1),
    "mapping is forbidden": (
        chain(policies(GOLD) + constrained(0, 0), policies(GOLD) + mapped(GOLD, SILVER), policies(SILVER)), 0,
    ),
    "the leaf asks for itself": (chain(policies(GOLD), DEMAND), 0),
    "one certificate later": (chain(constrained(explicit=1), []), 0),
    "maps from any": (chain(policies(ANY_POLICY) + mapped(ANY_POLICY, GOLD), policies(GOLD)), 1),
    "maps to any": (chain(policies(GOLD) + mapped(GOLD, ANY_POLICY), policies(GOLD)), 1),
}  # fmt: skip


@pytest.mark.parametrize("path", VALID.values(), ids=VALID)
def test_a_path_with_what_is_required_is_valid(path: tuple[Certificate, ...]) -> None:
    """Also one in which nobody requires anything."""
    assert check_certificate_policies(path) is None
    assert verify(peer_of(path[:-1]), Bundle("test", (ROOT.certificate,)), NOW) == path


@pytest.mark.parametrize(("path", "depth"), INVALID.values(), ids=INVALID)
def test_a_path_without_what_is_required_is_refused(path: tuple[Certificate, ...], depth: int) -> None:
    """The refusal says at which certificate the last policy was lost."""
    for verdict in (check_certificate_policies(path), verify(peer_of(path[:-1]), Bundle("test", path[-1:]), NOW)):
        assert isinstance(verdict, Refused)
        assert (verdict.reason, verdict.depth) == (Reason.CERTIFICATE_POLICY, depth)


def test_the_detail_says_what_was_there_and_what_would_have_done() -> None:
    """By object identifiers, which is all that there is."""
    refusal = check_certificate_policies(INVALID["another"][0])
    assert refusal is not None
    assert refusal.detail == (
        f"a certificate policy is required; CN=client has {SILVER}, and its issuers leave {GOLD} valid"
    )


def test_what_an_anchor_demands_is_not_part_of_the_path() -> None:
    """An intermediate as anchor is a name and a key (RFC 5280, section 6.1.1 (d))."""
    path = INVALID["none"][0]
    assert check_certificate_policies(path[:2]) is None
    assert check_certificate_policies(path[:1]) is None


def test_a_self_issued_certificate_is_not_counted() -> None:
    """A CA that renews its own key may name anyPolicy where it is forbidden to others."""
    top = make_ca("CA", ROOT, extensions=policies(GOLD) + DEMAND + no_any())
    renewed = make_ca("CA", top, extensions=policies(ANY_POLICY))
    made = (make_leaf(renewed, extensions=policies(GOLD)), renewed, top, ROOT)
    assert check_certificate_policies(tuple(issued.certificate for issued in made)) is None
