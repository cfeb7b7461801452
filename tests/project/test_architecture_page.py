"""The architecture's page: each invariant and each lesson names its tests, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def rows(heading: str) -> list[str]:
    """Return the rows of the table under a heading, without the table's own head."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def named(row: str) -> list[str]:
    """Return the tests that a row names."""
    return re.findall(r"`(tests/\S+\.py::\w+)`", row)


@pytest.mark.parametrize("row", rows("Invariants") + rows("Lessons"), ids=lambda row: row[2:50])
def test_every_row_names_a_test(row: str) -> None:
    """A promise that nothing holds is a wish."""
    assert named(row)


@pytest.mark.parametrize("test", sorted(set(named(PAGE))))
def test_a_test_that_is_named_exists(test: str) -> None:
    """And is a function that pytest finds: it starts with ``test_``, and asserts something or calls what does."""
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert name.startswith("test_")
    assert any(isinstance(node, ast.Assert | ast.Call) for node in ast.walk(function))


def test_every_folder_and_every_file_beside_them_is_in_the_layout() -> None:
    """A stranger finds each room on the plan."""
    there = {f"{path.name}/" for path in (ROOT / "proxy").iterdir() if path.is_dir() and path.name != "__pycache__"}
    there |= {path.name for path in (ROOT / "proxy").glob("*.py") if not path.name.startswith("__")}
    assert {row.split("`")[1] for row in rows("The layout")} == there


def test_every_name_in_code_type_is_in_the_code() -> None:
    """What the page calls by name has not been renamed since."""
    code = "\n".join(path.read_text() for path in (ROOT / "proxy").rglob("*.py"))
    section = PAGE.partition("\n## The values\n")[2].partition("\n## Invariants\n")[0]
    names = set(re.findall(r"`([A-Z]\w+(?:\.\w+)?|[a-z]+_[a-z_]+)`", section))
    assert [name for name in sorted(names) if re.search(rf"\b{name.rpartition('.')[2]}\b", code) is None] == []
