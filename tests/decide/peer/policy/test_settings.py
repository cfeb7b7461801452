"""Settings: every rule's typical mistakes, and what its owner is told."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.peer.policy.rules import RULES
from proxy.decide.peer.policy.settings import MAX_ENTRIES
from tests.support.certificates import NOW, identity_of, make_ca, make_leaf

_LISTS = sorted(set(RULES) - {"max_lifetime", "max_chain", "not_after_limit"})
_CA = make_ca()
_IDENTITY = identity_of(make_leaf(_CA, dns=["a.example"]), _CA)


def test_the_table_is_complete() -> None:
    """Every rule that the documentation names is there, under its own key."""
    assert set(RULES) == {
        "san_dns", "san_uri", "san_email", "san_ip", "subject", "organizational_unit", "issuer", "spki_pins",
        "certificate_pins", "max_lifetime", "max_chain", "not_after_limit", "key",
    }
    assert all(rule.key == key for key, rule in RULES.items())


@pytest.mark.parametrize("key", _LISTS)
def test_an_empty_list_refuses_all(key: str) -> None:
    """Fail closed: a list that somebody emptied is no list that admits everybody."""
    refusal = RULES[key].from_setting([]).judge(_IDENTITY, NOW)
    assert refusal is not None
    assert "the rule's list is empty" in refusal.detail


@pytest.mark.parametrize("key", _LISTS)
def test_one_text_is_no_list(key: str) -> None:
    """The commonest mistake of all gets the answer that it needs."""
    with pytest.raises(ValueError, match="is one text; write a list, such as"):
        RULES[key].from_setting("a.example")


@pytest.mark.parametrize("key", _LISTS)
@pytest.mark.parametrize("setting", [None, 1, 1.5, True, {"a": "b"}, {"a"}, date(2027, 1, 1), b"a"])
def test_another_type_is_no_list(key: str, setting: Any) -> None:
    """The message shows the value and its type."""
    with pytest.raises(ValueError, match=r"\(\w+\) is not a list; write a list of text, such as \["):
        RULES[key].from_setting(setting)


@pytest.mark.parametrize("key", _LISTS)
@pytest.mark.parametrize("entry", [None, 1, 1.5, True, ["a"], {}])
def test_every_entry_is_text(key: str, entry: Any) -> None:
    """YAML makes numbers of things that look like one."""
    with pytest.raises(ValueError, match="in the list is not text; write it in quotes"):
        RULES[key].from_setting([entry])


@pytest.mark.parametrize("key", _LISTS)
def test_lists_have_an_end(key: str) -> None:
    """Each entry costs something in every judgement."""
    with pytest.raises(ValueError, match="are too many; at most"):
        RULES[key].from_setting(["a"] * (MAX_ENTRIES + 1))


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


@pytest.mark.parametrize("key", sorted(RULES))
@given(setting=_anything)
def test_any_setting_is_a_rule_or_a_value_error(key: str, setting: object) -> None:
    """Nothing else comes out, whatever is written; and a rule can judge and be shown."""
    try:
        rule = RULES[key].from_setting(setting)
    except ValueError as fault:
        shown = str(fault)
    else:
        shown = str(rule)
        rule.judge(_IDENTITY, NOW)
    assert shown
    assert shown.isascii()
