"""The layout: who may import whom, what the judges may know, and that each part has its tests where it says."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROXY = ROOT / "proxy"
FILES = sorted(PROXY.rglob("*.py"))

MAY_IMPORT = {
    "decide": {"decide"},
    "snapshot": {"snapshot", "decide"},
    "accept": {"accept", "snapshot", "decide"},
    "forward": {"forward", "snapshot", "decide"},
    "observe": {"observe", "snapshot", "decide"},
    "control": {"control", "snapshot", "decide", "observe"},
}
"""Of our own folders; ``operate``, ``supervise`` and the files beside the folders see everything."""

PURE = {"cryptography", "OpenSSL", "httptools"}
"""What the judges take from others: functions of values."""

IMPURE = {
    "asyncio", "socket", "select", "selectors", "ssl", "time", "os", "io", "pathlib", "logging", "threading",
    "subprocess", "random",
    "secrets", "signal", "tempfile", "shutil", "urllib.request", "http", "multiprocessing", "concurrent",
}  # fmt: skip
"""What has no place in a judgement: loops, sockets, clocks, the environment, files, loggers, chance."""


def imports(file: Path) -> Iterator[str]:
    """Yield every module that a file imports, also for types only, and also within functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def folder_of(file: Path) -> str:
    """Return the folder below ``proxy/`` that a file belongs to; "" for one beside the folders."""
    parts = file.relative_to(PROXY).parts
    return parts[0] if len(parts) > 1 else ""


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES])
def test_a_part_imports_only_what_it_may(file: Path) -> None:
    """The order of the folders is the order of a connection's life, and nobody reaches ahead."""
    allowed = MAY_IMPORT.get(folder_of(file))
    own = {module.split(".")[1] for module in imports(file) if module.startswith("proxy.")} - {"__version__"}
    assert allowed is None or own <= allowed


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_nobody_below_imports_the_composition(folder: str) -> None:
    """``house``, ``connection`` and ``app`` put the parts together; no part knows them."""
    for file in (PROXY / folder).rglob("*.py"):
        assert not {"proxy.house", "proxy.connection", "proxy.app"} & set(imports(file)), file


def test_the_judges_are_pure() -> None:
    """Values in, verdict out: no loop, socket, clock, environment, file or logger, and few third parties."""
    for file in (PROXY / "decide").rglob("*.py"):
        for module in imports(file):
            top = module.split(".")[0]
            assert not {module, top} & IMPURE, f"{file}: {module}"
            assert top in {"proxy", "__future__"} | PURE or top in sys.stdlib_module_names, f"{file}: {module}"


def test_the_judges_ask_no_clock() -> None:
    """``now`` is an argument."""
    for file in (PROXY / "decide").rglob("*.py"):
        called = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        assert not {"now", "utcnow", "today", "environ", "getenv"} & (called - attributes_of_values(file)), file


def attributes_of_values(file: Path) -> set[str]:
    """Return names that a file uses as attributes of its own objects."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }


SUITES = {"test_table.py", "test_pkits.py"}
"""Tests of a folder's parts together, which have no single subject."""


def test_every_test_stands_where_its_subject_does() -> None:
    """``tests/`` mirrors ``proxy/``, and tests/bench/ bench/: what is tested is found without a search."""
    beside = {"scenarios", "support", "project", "config"}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        place = file.relative_to(ROOT / "tests")
        if place.parts[0] in beside or len(place.parts) == 1:
            continue
        table = (ROOT if place.parts[0] == "bench" else PROXY) / place.parent
        subject = table / place.name.removeprefix("test_")
        assert subject.exists() or (table / place.stem.removeprefix("test_")).is_dir() or file.name in SUITES, file


@pytest.mark.parametrize("folder", ["decide/request", "decide/peer", "forward"])
def test_every_part_of_the_data_path_has_its_test(folder: str) -> None:
    """File by file."""
    for file in (PROXY / folder).glob("*.py"):
        if file.name != "__init__.py":
            assert (ROOT / "tests" / folder / f"test_{file.name}").exists(), file
