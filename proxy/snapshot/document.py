"""Documents: YAML text to plain values that know their lines.

A configuration that two people read differently is a hole, so this is the part of YAML about which nobody disagrees:
``true`` and ``false`` are the only truth values (``off`` and ``no`` are text), numbers are decimal, a key is text and
occurs once, tags and merge keys are refused. Aliases are allowed; what they unfold to is counted, not copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from proxy.snapshot.problems import ConfigError, KeyPath, Problem, dotted

MAX_FILE: Final = 4 << 20
"""Octets of a configuration file: ten thousand routes, written out, are one MiB."""

MAX_NODES: Final = 250_000
"""Keys and values after aliases are unfolded: what a file of MAX_FILE can hold in earnest, so a "billion laughs"
of nested aliases ends here."""

MAX_DEPTH: Final = 32
"""Levels of nesting. The configuration has eight; the parser's own stack is what this protects."""

_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_DECIMAL: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,8})\.[0-9]{1,9}")
_WORDS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One value and where it stands.

    ``items`` maps a mapping's keys, or a list's positions, to the line of the entry and its node. ``size`` and
    ``height`` count aliases as if they were written out.
    """

    value: object
    line: int
    items: Mapping[str | int, tuple[int, Node]] = field(default_factory=dict)
    size: int = 1
    height: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A parsed configuration file: ``values`` holds only dict, list, str, int, float, bool and None."""

    file: Path
    values: Mapping[str, object]
    root: Node

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line of the entry at ``path``, or of the deepest entry on the way to it that exists."""
        node, line = self.root, self.root.line
        for part in path:
            if part not in node.items:
                break
            line, node = node.items[part]
        return line

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Make a problem of the entry at ``path``."""
        return Problem(self.file, self.line(path), dotted(path), message)


def parse(data: bytes, file: Path) -> Document:
    """Parse a configuration file's octets (UTF-8, one YAML document, a mapping); ``file`` is for messages only.

    Raises ConfigError with every problem found; a fault in the syntax ends the search.
    """
    composer = _Composer(file)
    try:
        root = composer.compose(_decode(data, file))
    except _BrokenError as broken:
        raise ConfigError([*composer.problems, Problem(file, broken.line, "", str(broken))]) from broken
    if not isinstance(root.value, dict):
        raise ConfigError([Problem(file, root.line, "", "the configuration is a mapping of keys, such as listen:")])
    if composer.problems:
        raise ConfigError(composer.problems)
    return Document(file, root.value, root)


def _decode(data: bytes, file: Path) -> str:
    if len(data) > MAX_FILE:
        raise ConfigError([Problem(file, None, "", f"larger than {MAX_FILE} octets")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise ConfigError([Problem(file, line, "", f"not UTF-8 text: {fault.reason}")]) from fault


class _BrokenError(Exception):
    """The text cannot be read on from here."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Composer:
    """Turns YAML events into nodes; problems that do not end the search are collected."""

    def __init__(self, file: Path) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._anchors: dict[str, Node | None] = {}  # None while the anchored value is still being read
        self._events: Iterator[yaml.Event] = iter(())

    def compose(self, text: str) -> Node:
        self._events = _events(text)
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise _BrokenError(1, "the file is empty")
        root = self._node(next(self._events), ())
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _BrokenError(_line(after), "a second document starts here; one file is one configuration")
        return root

    def _node(self, event: yaml.Event, path: KeyPath) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            raise _BrokenError(_line(event), "a value is missing here")
        self._check(event, path)
        anchor: str | None = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        match event:
            case yaml.ScalarEvent():
                node = Node(self._scalar(event, path), _line(event))
            case yaml.SequenceStartEvent():
                node = self._sequence(event, path)
            case yaml.CollectionStartEvent():
                node = self._mapping(event, path)
        if node.size > MAX_NODES:
            raise _BrokenError(node.line, f"more than {MAX_NODES} keys and values, counting aliases as written out")
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _check(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, path: KeyPath) -> None:
        if len(path) > MAX_DEPTH:
            raise _BrokenError(_line(event), f"nested more than {MAX_DEPTH} levels deep")
        if event.tag is not None:
            self._report(event, path, f"the tag {event.tag} is not used here; quote a value that is to be text")
        if event.anchor in self._anchors:
            self._report(event, path, f"the anchor &{event.anchor} is given twice")

    def _alias(self, event: yaml.AliasEvent, path: KeyPath) -> Node:
        if event.anchor not in self._anchors:
            raise _BrokenError(_line(event), f"the alias *{event.anchor} has no anchor above it")
        node = self._anchors[event.anchor]
        if node is None:
            raise _BrokenError(_line(event), f"the alias *{event.anchor} stands inside the value that it names")
        if len(path) + node.height > MAX_DEPTH:
            raise _BrokenError(_line(event), f"nested more than {MAX_DEPTH} levels deep")
        return node

    def _scalar(self, event: yaml.ScalarEvent, path: KeyPath) -> object:
        text: str = event.value
        if _CONTROL.search(text):
            self._report(event, path, "a value is one line of text without control characters")
            return ""
        return _resolve(text) if event.implicit[0] else text

    def _sequence(self, event: yaml.Event, path: KeyPath) -> Node:
        items: dict[str | int, tuple[int, Node]] = {}
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            place = len(items)
            items[place] = (_line(item), self._node(item, (*path, place)))
        return _collect([node.value for _, node in items.values()], event, items)

    def _mapping(self, event: yaml.Event, path: KeyPath) -> Node:
        items: dict[str | int, tuple[int, Node]] = {}
        while not isinstance(item := next(self._events), yaml.MappingEndEvent):
            key = self._key(item, path)
            node = self._node(next(self._events), (*path, key))
            if key in items:
                self._report(item, (*path, key), f"the key is repeated; it stands on line {items[key][0]} already")
            else:
                items[key] = (_line(item), node)
        return _collect({key: node.value for key, (_, node) in items.items()}, event, items)

    def _key(self, event: yaml.Event, path: KeyPath) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise _BrokenError(_line(event), "a key is text, not a list, a mapping or an alias")
        self._check(event, path)
        if event.anchor is not None:
            self._report(event, path, "a key takes no anchor")
        if event.value == "<<" and event.implicit[0]:
            self._report(event, path, "merge keys are not used here; write the keys out, or alias the whole value")
        if _CONTROL.search(event.value):
            raise _BrokenError(_line(event), "a key is one line of text without control characters")
        return str(event.value)

    def _report(self, event: yaml.Event, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(self._file, _line(event), dotted(path), message))


def _collect(value: object, event: yaml.Event, items: dict[str | int, tuple[int, Node]]) -> Node:
    nodes = [node for _, node in items.values()]
    size = 1 + len(nodes) + sum(node.size for node in nodes)
    return Node(value, _line(event), items, size, 1 + max((node.height for node in nodes), default=0))


def _resolve(text: str) -> object:
    """Give an unquoted scalar its type; what is not clearly something else is text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _events(text: str) -> Iterator[yaml.Event]:
    """Yield the parser's events, with its faults translated. Besides YAMLError it lets a few of Python's own out."""
    line = 1
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            line = _line(event)
            yield event
    except yaml.reader.ReaderError as fault:
        place = text.count("\n", 0, fault.position) + 1
        raise _BrokenError(place, f"the character {chr(fault.character)!a} has no place in YAML") from fault
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        raise _BrokenError(line if mark is None else int(mark.line) + 1, f"not YAML: {_words(fault)}") from fault
    except (yaml.YAMLError, ValueError, OverflowError) as fault:
        raise _BrokenError(line, f"not YAML: {fault}") from fault


def _words(fault: yaml.MarkedYAMLError) -> str:
    return ", ".join(part for part in (fault.context, fault.problem) if part)


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return 1 if mark is None else int(mark.line) + 1
