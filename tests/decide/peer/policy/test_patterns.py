"""Patterns: what hostile names can do, which is nothing, and how long that takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.peer.policy.patterns import MAX_NAME, Pattern, dns_pattern, email_pattern, judge_names, uri_pattern

_WIDEST = [
    dns_pattern("*.a"),
    dns_pattern("x*.a"),
    email_pattern("*@*.a"),
    uri_pattern("spiffe://*.a/**"),
    uri_pattern("spiffe://a/*/x*"),
]
_STRANGE = [*map(chr, range(0x21)), "\x7f", "\x80", "é", "\u212a", "\u3002", "\uff0e", "*", "%", "\\", '"']


@pytest.mark.parametrize("strange", _STRANGE)
@pytest.mark.parametrize("name", ["{}b.a", "b{}.a", "b.a{}", "xb{}.a", "b{}@c.a", "b@c{}.a"])
def test_strange_characters_match_nothing(name: str, strange: str) -> None:
    """Controls, blanks, NUL, non-ASCII look-alikes, percent signs and stars, wherever they stand in a name."""
    full = name.format(strange)
    allowed = strange in "*%" and "@" in full  # '%' and '*' are atoms of a mailbox, and '*' is excluded below
    matching = [pattern.text for pattern in _WIDEST if pattern.matches(full)]
    assert matching == (["*@*.a"] if allowed and strange == "%" and full.index("%") < full.index("@") else [])


@given(st.text(max_size=40))
def test_no_text_breaks_a_pattern_or_a_match(text: str) -> None:
    """Every text is a pattern or a ValueError in ASCII, and a pattern without wildcards matches itself."""
    for compile_pattern in (dns_pattern, email_pattern, uri_pattern):
        try:
            pattern: Pattern | None = compile_pattern(text)
        except ValueError as fault:
            pattern, message = None, str(fault)
        else:
            message = ""
        assert message.isascii()
        if pattern is not None and "*" not in text:
            assert pattern.matches(text)


@given(st.text(alphabet="ab.*-/:@%", max_size=30))
def test_nothing_but_the_star_is_special(text: str) -> None:
    """A name with a star in it is matched by nothing, unless the very same URI was written without wildcards."""
    for pattern in _WIDEST:
        assert not (pattern.matches(text) and "*" in text)


@pytest.mark.parametrize("name", ["a" * 100_000, "a." * 50_000, "spiffe://b.a" + "/x" * 50_000, "-" * MAX_NAME + "!"])
def test_long_names_match_nothing(name: str) -> None:
    """A bound on the length comes first, so no name costs more than another."""
    assert not any(pattern.matches(name) for pattern in _WIDEST)


def test_expressions_are_anchored_and_ascii() -> None:
    """A name that only begins or ends well does not match, and case folding is ASCII's."""
    pattern = dns_pattern("k.example")
    assert pattern.matches("K.EXAMPLE")
    assert not pattern.matches("\u212a.example")
    assert not pattern.matches("k.example.evil")
    assert not pattern.matches("evil.k.example")
    assert not pattern.matches("k.example\n")
    assert pattern.regex.flags & re.ASCII


def test_a_refusal_shows_both_sides_in_one_short_line() -> None:
    """What the certificate has and what is allowed, escaped and bounded, also where the certificate has much."""
    refusal = judge_names("DNS names", ["a\nb.example"] + ["x" * 300] * 50, [dns_pattern("*.cdn.example.com")])
    assert refusal is not None
    assert refusal.detail.startswith(r"DNS names [a\nb.example, ")
    assert refusal.detail.endswith("the rule allows [*.cdn.example.com]")
    assert len(refusal.detail) <= 512
