"""Escaping of hostile text."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.verdict import Reason
from proxy.observe.escape import MAX_DEPTH, MAX_ITEMS, MAX_TEXT, escaped, plain, text

SURROGATES = st.text(st.characters(exclude_categories=[]))

ROWS = [
    ("CN=edge.example.com,O=Müller \\, Söhne", "CN=edge.example.com,O=Müller \\, Söhne"),
    ("日本語 кириллица עברית", "日本語 кириллица עברית"),
    ("a\nb\r\tc", "a\\nb\\r\\tc"),
    ("\x1b[31mred", "\\x1b[31mred"),
    ("a\x00b\x7f\x85", "a\\x00b\\x7f\\x85"),
    ("moc.\u202eelpmaxe", "moc.\\u202eelpmaxe"),
    ("\u2066\u200b\ufeff\u2028", "\\u2066\\u200b\\ufeff\\u2028"),
    ("tag\U000e0041", "tag\\U000e0041"),
    ("\ud800", "\\ud800"),
    (b"\xff\x00name", "ÿ\\x00name"),
]


@pytest.mark.parametrize(("given_text", "shown"), ROWS)
def test_what_could_deceive_a_reader_is_shown_and_the_rest_stays(given_text: str | bytes, shown: str) -> None:
    """Control, format and surrogate characters are written out; letters of every script are left alone."""
    assert text(given_text) == shown


@given(SURROGATES)
def test_escaped_text_is_printable_bounded_and_stable(value: str) -> None:
    """Whatever comes in: what goes out is printable, encodes as UTF-8, is bounded, and escapes to itself."""
    shown = text(value, 20)
    assert shown.isprintable()
    assert len(shown) <= 20
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert text(shown, 20) == shown


@pytest.mark.parametrize("value", ["x" * (MAX_TEXT + 1), "\x00" * 60_000, "\x00" * 300])
def test_overlong_text_ends_in_an_ellipsis(value: str) -> None:
    """A string that is too long, before or after its escaping, is cut where everybody can see it."""
    shown = text(value)
    assert len(shown) == MAX_TEXT
    assert shown.endswith("…")


def test_text_of_exactly_the_limit_is_whole() -> None:
    """The limit itself is allowed."""
    assert text("x" * MAX_TEXT) == "x" * MAX_TEXT


PLAIN_ROWS = [
    (Reason.EXPIRED, "expired"),
    (2**63 - 1, 2**63 - 1),
    (2**159, str(2**159)),
    (True, True),
    (0.5, 0.5),
    ({"a\n": "b\n", "none": None}, {"a\\n": "b\\n"}),
    (("a", b"\x01"), ["a", "\\x01"]),
    (object, "<class 'object'>"),
]


@pytest.mark.parametrize(("value", "shown"), PLAIN_ROWS)
def test_values_become_what_json_can_hold(value: object, shown: object) -> None:
    """Enumerations, octets, large integers and unknown objects all have a form; None inside is left out."""
    assert plain(value) == shown


def test_long_lists_say_how_much_is_missing() -> None:
    """A list beyond the limit ends with the number of entries that are not shown."""
    shown = plain(["a"] * 100)
    assert shown == ["a"] * (MAX_ITEMS - 1) + [f"… and {100 - MAX_ITEMS + 1} more"]


def test_deep_nesting_becomes_text() -> None:
    """Nesting that no line has is not followed without end."""
    value: object = "bottom"
    for _ in range(MAX_DEPTH + 2):
        value = [value]
    assert plain(value) == [[[["[['bottom']]"]]]]


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | SURROGATES | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SURROGATES, inner, max_size=4),
    max_leaves=20,
)


@given(HOSTILE)
def test_every_value_encodes_as_one_printable_line(value: object) -> None:
    """The encoder never meets a value that it would raise on, and nothing in its output can move a cursor."""
    assert msgspec.json.encode(plain(value)).decode().isprintable()


def test_what_was_escaped_once_is_written_as_it_is() -> None:
    """The fields of a certificate that comes a thousand times a second are not looked through each time."""
    fields = escaped({"subject": "CN=a\nb", "absent": None, "san": ["DNS:\x07"]})
    assert fields == {"subject": "CN=a\\nb", "san": ["DNS:\\x07"]}
    assert plain(fields) is fields
    assert msgspec.json.decode(msgspec.json.encode({"certificate": fields}))["certificate"] == fields
