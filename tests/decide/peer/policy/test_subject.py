"""subject: each attribute that is named, with exactly its value."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from proxy.decide.peer.policy.names import MAX_DN
from proxy.decide.peer.policy.subject import Subject
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, identity_of, make_leaf, name

_SUBJECT = name("edge", organization="CDN, Inc.", units=["A", "A", "B"])


@pytest.mark.parametrize(
    ("asked", "admitted"),
    [
        ("CN=edge", True),
        (r"CN=edge,O=CDN\, Inc.", True),
        (r"O=CDN\, Inc.,CN=edge", True),
        ("2.5.4.3=edge", True),
        ("CN=Edge", False),
        ("CN=edg", False),
        ("CN=edge ", None),
        ("O=edge", False),
        ("CN=edge,OU=A", True),
        ("OU=A,OU=A,OU=B", True),
        ("OU=A+OU=B", True),
        ("OU=A,OU=A,OU=A", False),
        ("OU=B,OU=B", False),
        ("CN=edge,CN=edge", False),
        ("CN=edge,C=DE", False),
        (r"CN=*", False),
        ("", None),
        ("edge", None),
        ("CN=edge, O=CDN", None),
        ("CN = edge", None),
        ("cn=edge", None),
        ("CN=", None),
        ("CN=a\\", None),
        ("C=Germany", None),
        ("CN=" + "a" * MAX_DN, None),
    ],
)
def test_names(asked: str, admitted: bool | None) -> None:
    """A name admits the subject, refuses it, or is no name (None)."""
    if admitted is None:
        with pytest.raises(ValueError, match=r"is not a distinguished name; write it as in|is longer than"):
            Subject.from_setting([asked])
        return
    refusal = Subject.from_setting([asked]).judge(identity_of(make_leaf(None, subject=_SUBJECT)), NOW)
    assert (refusal is None) is admitted


def test_openssl_names_are_understood() -> None:
    """What OpenSSL prints for a mail address can be copied."""
    attribute = x509.NameAttribute(NameOID.EMAIL_ADDRESS, "ops@partner.example")
    leaf = make_leaf(None, subject=x509.Name([attribute]))
    assert Subject.from_setting(["emailAddress=ops@partner.example"]).judge(identity_of(leaf), NOW) is None


@pytest.mark.parametrize("hostile", ["a,O=Partner", "a+O=Partner", "a\0,O=Partner", "a\nO=Partner"])
def test_text_inside_a_value_is_no_attribute(hostile: str) -> None:
    """Values are compared as values, so a comma in one opens nothing."""
    refusal = Subject.from_setting(["O=Partner"]).judge(identity_of(make_leaf(None, hostile)), NOW)
    assert refusal is not None
    assert refusal.reason is Reason.NAME_NOT_ALLOWED
    assert refusal.detail.isprintable()


def test_it_says_what_it_asks_and_what_it_found() -> None:
    """Both in one line."""
    rule = Subject.from_setting(["CN=other"])
    refusal = rule.judge(identity_of(make_leaf(None, subject=_SUBJECT)), NOW)
    assert refusal is not None
    assert refusal.detail == r"subject [CN=edge,OU=B,OU=A,OU=A,O=CDN\, Inc.]; the rule allows [CN=other]"
    assert str(rule) == "subject with the attributes of one of [CN=other]"
