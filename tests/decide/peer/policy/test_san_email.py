"""san_email: mail addresses, the mailbox as it is written, the domain without case."""

from __future__ import annotations

import pytest

from proxy.decide.peer.policy.san_email import SanEmail
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, identity_of, make_leaf


@pytest.mark.parametrize(
    ("pattern", "address", "admitted"),
    [
        ("ops@partner.example", "ops@partner.example", True),
        ("ops@partner.example", "ops@PARTNER.example", True),
        ("ops@partner.example", "OPS@partner.example", False),
        ("ops@partner.example", "xops@partner.example", False),
        ("ops@partner.example", "ops@partner.example.evil", False),
        ("*@partner.example", "a.b+c@partner.example", True),
        ("*@partner.example", "@partner.example", False),
        ("*@partner.example", "a@b@partner.example", False),
        ("*@partner.example", '"a b"@partner.example', False),
        ("*@partner.example", "*@partner.example", False),
        ("*@partner.example", "a@x.partner.example", False),
        ("*@partner.example", "a\0@partner.example", False),
        ("*@partner.example", "a@partner.example\n", False),
        ("*@*.partner.example", "a@x.partner.example", True),
        ("svc-*@partner.example", "svc-1@partner.example", True),
        ("svc-*@partner.example", "usr-1@partner.example", False),
        ("partner.example", "", None),
        ("@partner.example", "", None),
        ("*@*", "", None),
        ("*", "", None),
        ("a@b@c.example", "", None),
        ("**@partner.example", "", None),
        ("*a*@partner.example", "", None),
        ("é@partner.example", "", None),
    ],
)
def test_patterns(pattern: str, address: str, admitted: bool | None) -> None:
    """A pattern admits an address, refuses it, or is no pattern (None)."""
    if admitted is None:
        with pytest.raises(ValueError, match=r"write|not belong|wildcard|whole segments"):
            SanEmail.from_setting([pattern])
        return
    refusal = SanEmail.from_setting([pattern]).judge(identity_of(make_leaf(None, emails=[address])), NOW)
    assert (refusal is None) is admitted


def test_other_names_are_not_addresses() -> None:
    """A DNS name, a URI and a common name that look like an address are none."""
    text = "ops@partner.example"
    leaf = make_leaf(None, text, dns=[text], uris=[text, f"mailto:{text}"])
    refusal = SanEmail.from_setting([text]).judge(identity_of(leaf), NOW)
    assert refusal is not None
    assert refusal.reason is Reason.NAME_NOT_ALLOWED


def test_a_bare_domain_gets_a_hint() -> None:
    """The likely meaning is in the message."""
    with pytest.raises(ValueError, match=r"write \*@partner.example for every mailbox"):
        SanEmail.from_setting(["partner.example"])


def test_it_says_what_it_asks() -> None:
    """In one line."""
    assert str(SanEmail.from_setting(["*@a.example"])) == "a mail address in [*@a.example]"
