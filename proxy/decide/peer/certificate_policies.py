"""Certificate policies: what CAs demand of the paths below them (RFC 5280, section 6.1).

A CA can require that every certificate below it is issued under a policy that it knows, and can forbid to map policies
or to name anyPolicy. Where none requires one, all paths pass; where one is required, any will do (section 6.1.1: the
initial policy set is any-policy, and nothing else is set from the start). So nobody asks which path through the policy
tree led to a policy: those valid at the current depth are a set, and cannot multiply (RFC 9618 has the attack).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.decide.facts import Certificate, PolicyTerms
from proxy.decide.peer.x509_errors import MAX_SUBJECT, who
from proxy.decide.text import printable
from proxy.decide.verdict import Reason, Refused

ANY_POLICY: Final = "2.5.29.32.0"


def check_certificate_policies(chain: tuple[Certificate, ...]) -> Refused | None:
    """Refuse a chain (leaf first, anchor last) without a valid policy where a CA below the anchor requires one.

    A mapping from or to anyPolicy is refused too. The anchor is where the path starts, not a part of it.
    """
    path = chain[:-1]
    if not any(_matters(cert.policy_terms) for cert in path):
        return None
    progress = _Progress(frozenset({ANY_POLICY}), *[len(path) + 1] * 3)
    for depth in range(len(path) - 1, -1, -1):
        cert = path[depth]
        if any(ANY_POLICY in pair for pair in cert.policy_terms.mappings):
            return Refused(Reason.CERTIFICATE_POLICY, f"{who(cert)} maps anyPolicy (RFC 5280, section 4.2.1.5)", depth)
        expected = progress.policies
        progress.enter(cert, is_leaf=depth == 0)
        if not progress.explicit and not progress.policies:
            return _refusal(cert, expected, depth)
        if depth:
            progress.leave(cert)
    return None


def _matters(terms: PolicyTerms) -> bool:
    return terms.require_explicit is not None or any(ANY_POLICY in pair for pair in terms.mappings)


def _refusal(cert: Certificate, expected: frozenset[str], depth: int) -> Refused:
    has, wanted = _listed(cert.policy_terms.policies or frozenset()), _listed(expected)
    detail = f"a certificate policy is required; {who(cert)} has {has}, and its issuers leave {wanted} valid"
    return Refused(Reason.CERTIFICATE_POLICY, detail, depth)


def _listed(policies: frozenset[str]) -> str:
    return printable(", ".join(sorted(policies)) or "none", MAX_SUBJECT)


@dataclass(slots=True)
class _Progress:
    """The state variables of section 6.1.2, from the anchor down.

    ``policies`` are those that are valid in the certificate that was entered, or that are expected in the next one
    once it was left. The numbers count the certificates that may follow before a policy is required, before mappings
    are forbidden, and before anyPolicy is.
    """

    policies: frozenset[str]
    explicit: int
    mapping: int
    any_policy: int

    def enter(self, cert: Certificate, *, is_leaf: bool) -> None:
        """Process the certificate's policies: section 6.1.3 (d) and (e), for a leaf also 6.1.5 (a) and (b)."""
        terms, expected = cert.policy_terms, self.policies
        own = terms.policies or frozenset()
        named = own - {ANY_POLICY}
        self.policies = named if ANY_POLICY in expected else named & expected
        if ANY_POLICY in own and (self.any_policy > 0 or (not is_leaf and _is_self_issued(cert))):
            self.policies |= expected
        if is_leaf:
            self.explicit = 0 if terms.require_explicit == 0 else max(self.explicit - 1, 0)

    def leave(self, cert: Certificate) -> None:
        """Prepare for the next certificate: section 6.1.4 (b), (h), (i) and (j)."""
        terms = cert.policy_terms
        self._map(terms.mappings)
        step = 0 if _is_self_issued(cert) else 1
        self.explicit = _lowered(self.explicit - step, terms.require_explicit)
        self.mapping = _lowered(self.mapping - step, terms.inhibit_mapping)
        self.any_policy = _lowered(self.any_policy - step, terms.inhibit_any)

    def _map(self, mappings: tuple[tuple[str, str], ...]) -> None:
        """Replace the policies that are mapped by what they are mapped to; drop them where mapping is forbidden."""
        valid = self.policies
        self.policies -= {issuers for issuers, _ in mappings}
        if self.mapping:
            self.policies |= {own for issuers, own in mappings if issuers in valid or ANY_POLICY in valid}


def _lowered(count: int, limit: int | None) -> int:
    return max(0, count if limit is None else min(count, limit))


def _is_self_issued(cert: Certificate) -> bool:
    """Compare the names as they are encoded: where they only mean the same, the stricter rule holds."""
    return cert.x509.subject == cert.x509.issuer
