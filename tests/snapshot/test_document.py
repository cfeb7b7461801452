"""Documents: what is read, what is refused and where, and that nothing but ConfigError ever comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.snapshot.document import MAX_DEPTH, MAX_FILE, MAX_NODES, parse
from proxy.snapshot.problems import ConfigError

FILE = Path("o.yaml")


def problems(text: str | bytes) -> list[str]:
    """Return the lines of the ConfigError that parsing raises."""
    with pytest.raises(ConfigError) as caught:
        parse(text.encode() if isinstance(text, str) else text, FILE)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"), ("no", "no"), ("yes", "yes"), ("on", "on"), ("y", "y"), ("NO", "NO"),
        ("true", True), ("false", False), ("True", "True"), ("null", None), ("~", None), ("", None),
        ("15", 15), ("-1", -1), ("+2", 2), ("0", 0), ("010", "010"), ("0x10", "0x10"), ("1_000", "1_000"),
        ("1.5", 1.5), (".5", ".5"), ("1e3", "1e3"), (".inf", ".inf"), (".nan", ".nan"), ("12:30:45", "12:30:45"),
        ("2027-03-31", "2027-03-31"), ("9" * 19, "9" * 19), ("9" * 5000, "9" * 5000),
        ("'15'", "15"), ('"true"', "true"),
        ("[a, 1]", ["a", 1]), ("{b: c}", {"b": "c"}), (">-\n  folded\n  text", "folded text"),
    ],
)
def test_scalars_mean_what_they_look_like(text: str, value: object) -> None:
    """Only true and false are truth values, numbers are decimal, and the rest is text."""
    found = parse(f"key: {text}\n".encode(), FILE).values["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("key", ["8443", "true", "null", "1.5", "off"])
def test_a_key_is_text_as_written(key: str) -> None:
    """Names of bundles may look like numbers."""
    assert parse(f"{key}: x".encode(), FILE).values == {key: "x"}


BAD = {
    "empty": ("", ["o.yaml:1: the file is empty"]),
    "comments only": ("# nothing\n", ["o.yaml:1: the file is empty"]),
    "no mapping": ("- a\n", ["o.yaml:1: the configuration is a mapping of keys, such as listen:"]),
    "repeated key": ("a: 1\nb:\n  c: 1\n  c: 2\n", ["o.yaml:4: b.c: the key is repeated; it stands on line 3 already"]),
    "repeated in a list": (
        "a:\n  - {x: 1, x: 2}\n",
        ["o.yaml:2: a[0].x: the key is repeated; it stands on line 2 already"],
    ),
    "tag": ("a: !t 1\n", ["o.yaml:1: a: the tag !t is not used here; quote a value that is to be text"]),
    "python tag": (
        "a: !!python/object/apply:os.system [id]\n",
        ["o.yaml:1: a: the tag tag:yaml.org,2002:python/object/apply:os.system is not used here"],
    ),
    "merge": (
        "a: &a {b: 1}\nc:\n  <<: *a\n",
        ["o.yaml:3: c: merge keys are not used here; write the keys out, or alias the whole value"],
    ),
    "no anchor": ("a: 1\nb: *x\n", ["o.yaml:2: the alias *x has no anchor above it"]),
    "recursive": ("a: &x\n  b: [*x]\n", ["o.yaml:2: the alias *x stands inside the value that it names"]),
    "anchor twice": ("a: &x 1\nb: &x 2\n", ["o.yaml:2: b: the anchor &x is given twice"]),
    "anchor on key": ("&x a: 1\n", ["o.yaml:1: a key takes no anchor"]),
    "list as key": ("? [a]\n: 1\n", ["o.yaml:1: a key is text, not a list, a mapping or an alias"]),
    "two documents": ("a: 1\n---\nb: 1\n", ["o.yaml:2: a second document starts here; one file is one configuration"]),
    "control": ('a: "x\\ny"\n', ["o.yaml:1: a: a value is one line of text without control characters"]),
    "NUL": ('a: ["\\0"]\n', ["o.yaml:1: a[0]: a value is one line of text without control characters"]),
    "surrogate": ('a: "\\uD800"\n', ["o.yaml:1: not YAML: while parsing a quoted scalar, found invalid"]),
    "control in key": ('"a\\tb": 1\n', ["o.yaml:1: a key is one line of text without control characters"]),
    "raw control": ("a: 1\nb: \x07\n", ["o.yaml:2: the character '\\x07' has no place in YAML"]),
    "code point": ('a: 1\nb: "\\UFFFFFFFF"\n', ["o.yaml:2: not YAML: "]),
    "several": ("a: !t 1\nb: 1\nb: 2\n", ["o.yaml:1: a: the tag !t", "o.yaml:3: b: the key is repeated"]),
    "found before the fault": ("a: 1\na: 2\nb: [\n", ["o.yaml:2: a: the key is repeated", "o.yaml:4: not YAML: "]),
    "tab": ("a: 1\n\tb: 2\n", ["o.yaml:2: not YAML: "]),
    "version": ("%YAML 3.0\n---\na: 1\n", ["o.yaml:1: not YAML: found incompatible YAML document"]),
    "Latin-1": (b"a: 1\nb: \xe9\n", ["o.yaml:2: not UTF-8 text: "]),
    "UTF-16": ("a: 1".encode("utf-16"), ["o.yaml:1: not UTF-8 text: "]),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_a_bad_document_is_refused_with_its_line(text: str | bytes, expected: list[str]) -> None:
    """Every fault is named with its place, several at once where reading can go on."""
    found = problems(text)
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


def test_lines_are_known_for_every_key_and_entry() -> None:
    """A path that does not exist leads to the deepest entry on the way to it."""
    document = parse(b"# top\na:\n  - b: 1\n    c: [x,\n        y]\n  - &n {d: 1}\ne: *n\n", FILE)
    lines = {("a",): 2, ("a", 0, "b"): 3, ("a", 0, "c", 1): 5, ("a", 1, "d"): 6, ("e",): 7, ("e", "d"): 6}
    lines |= {("a", 9): 2, ("z",): 2}
    assert {path: document.line(path) for path in lines} == lines


def test_an_alias_stands_for_its_value() -> None:
    """Aliases of whole values are how a configuration repeats itself."""
    assert parse(b"a: &p {x: [1]}\nb: *p\n", FILE).values == {"a": {"x": [1]}, "b": {"x": [1]}}


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    """Some editors write one."""
    assert parse(b"\xef\xbb\xbfa: 1", FILE).values == {"a": 1}


def test_aliases_that_multiply_are_counted_as_written_out() -> None:
    """Nine levels of ten aliases would be a billion values."""
    rows = ["l0: &l0 [" + ",".join("x" * 10) + "]"]
    rows += [f"l{n}: &l{n} [" + ",".join([f"*l{n - 1}"] * 10) + "]" for n in range(1, 10)]
    expected = f"o.yaml:6: more than {MAX_NODES} keys and values, counting aliases as written out"
    assert problems("\n".join(rows)) == [expected]


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "a: " + "{b: " * 100_000, "- " * 100_000])
def test_deep_nesting_ends_early(text: str) -> None:
    """The reader's own stack is safe however deep the file goes."""
    assert problems(text) == [f"o.yaml:1: nested more than {MAX_DEPTH} levels deep"]


def test_deep_nesting_by_aliases_ends_too() -> None:
    """An alias counts with the height of what it stands for."""
    rows = ["l0: &l0 [x]"] + [f"l{n}: &l{n} [*l{n - 1}]" for n in range(1, 100)]
    assert problems("\n".join(rows)) == [f"o.yaml:{MAX_DEPTH}: nested more than {MAX_DEPTH} levels deep"]


def test_a_file_that_is_too_large_is_not_parsed() -> None:
    """The bound is checked before the text is looked at."""
    assert problems(b"#" * (MAX_FILE + 1)) == [f"o.yaml: larger than {MAX_FILE} octets"]


def outcome(data: bytes) -> object:
    """Return the values or the ConfigError; anything else fails the test."""
    try:
        return parse(data, FILE).values
    except ConfigError as error:
        return error


@given(st.binary(max_size=200))
def test_octets_give_a_value_or_a_config_error(data: bytes) -> None:
    """Whatever is in the file."""
    assert isinstance(outcome(data), dict | ConfigError)


@given(st.text("ab:-?!&*<>[]{}|'\"%@`,#~0\\xUu \n\t\u00e9", max_size=60))
def test_yaml_like_text_gives_a_value_or_a_config_error(text: str) -> None:
    """Also where it is made of YAML's own signs."""
    assert isinstance(outcome(text.encode()), dict | ConfigError)
