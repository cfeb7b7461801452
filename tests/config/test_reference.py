"""The reference in docs/configuration.md: it has every key, default, rule and header family that the code has."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from proxy.decide.peer.policy.rules import RULES
from proxy.decide.request.stamp import FAMILIES, HEADERS
from proxy.decide.units import parse_duration, parse_size
from proxy.snapshot.config import IDLE_TIMEOUT, MAX_CONNECTIONS, MAX_IDLE, Config
from proxy.snapshot.limits import Limits

TEXT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
ROWS = {
    cells[0].strip("` "): [cell.strip(" ") for cell in cells[1:]]
    for cells in (line.strip("|").split(" | ") for line in TEXT.splitlines() if line.startswith("| `"))
}


def models(annotation: object) -> list[type[BaseModel]]:
    """List the models inside a field's type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def keys(model: type[BaseModel]) -> list[str]:
    """List every key of a model, and of the models inside it."""
    inner = [key for found in model.model_fields.values() for part in models(found.annotation) for key in keys(part)]
    return [*model.model_fields, *inner]


def plain(text: str) -> object:
    """Read a default as the configuration would."""
    for parse in (parse_size, parse_duration, int):
        try:
            return parse(text)
        except ValueError:
            continue
    return None if text == "off" else text


@pytest.mark.parametrize("key", sorted(set(keys(Config))))
def test_every_key_is_in_the_reference(key: str) -> None:
    """A new key without its line there is not finished."""
    assert any(form in TEXT for form in (f"`{key}`", f".{key}`", f"`{key}."))


@pytest.mark.parametrize("key", Limits.model_fields)
def test_every_limit_has_its_type_default_and_reason(key: str) -> None:
    """And the default is the one that the code has."""
    kind, default, allowed, reason = ROWS[key]
    assert plain(default.strip("`")) == getattr(Limits(), key)
    assert (kind, allowed) != ("", "")
    assert len(reason) > 20


@pytest.mark.parametrize(
    ("key", "default"), [("max_idle", MAX_IDLE), ("max_connections", MAX_CONNECTIONS)],
)
def test_an_upstreams_defaults_are_the_codes(key: str, default: int) -> None:
    """The names are the reference's rows."""
    assert plain(ROWS[key][1].strip("`")) == default


def test_both_idle_time_outs_are_told_apart() -> None:
    """One is the client's, the other the app's."""
    assert f"| `idle_timeout` | duration | `{IDLE_TIMEOUT:g}s` |" in TEXT
    assert f"| `idle_timeout` | duration | `{Limits().idle_timeout:g}s` |" in TEXT


def test_every_rule_and_every_family_has_its_row() -> None:
    """The tables of the judges and the tables of the reference are the same."""
    assert [name for name in (*RULES, *FAMILIES) if name not in ROWS] == []
    first = {header.family: header.name for header in reversed(HEADERS)}
    assert [family for family, name in first.items() if name not in ROWS[family][0]] == []
