"""The examples in config/: each one loads, warns of exactly what it loosens, and says what it comes to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from proxy.operate.check import check
from proxy.snapshot.load import load
from tests.support.certificates import NOW
from tests.support.furnish import furnish

FOLDER = Path(__file__).parents[2] / "config"
WARNINGS = {
    "minimal.yaml": [],
    "cdn.yaml": [],
    "policy.yaml": [],
    "routes.yaml": ["anybody reaches", "a client without a certificate reaches", "anybody reaches"],
    "sidecar.yaml": ["SNI is missing or unknown", "anybody reaches"],
}


@pytest.fixture
def furnished(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Copy one example and make the files that it names."""
    config = Path(shutil.copy(FOLDER / request.param, tmp_path))
    furnish(config)
    return config


def test_every_example_is_in_the_table() -> None:
    """A new example is loaded by these tests, too."""
    assert {file.name for file in FOLDER.glob("*.yaml")} == set(WARNINGS)


@pytest.mark.parametrize("furnished", WARNINGS, indirect=True)
def test_an_example_loads_and_warns_only_of_what_it_loosens(furnished: Path) -> None:
    """What the comments of an example call a loosening is a warning, and nothing else is."""
    snapshot = load(furnished, 1, NOW)
    expected = WARNINGS[furnished.name]
    assert len(snapshot.warnings) == len(expected)
    assert all(words in warning for words, warning in zip(expected, snapshot.warnings, strict=True))


@pytest.mark.parametrize("furnished", WARNINGS, indirect=True)
def test_an_example_is_summed_up(furnished: Path) -> None:
    """Check names every host, route and bundle of the example."""
    lines: list[str] = []
    assert check(furnished, NOW, lines.append) == 0
    text = "\n".join(lines)
    snapshot = load(furnished, 1, NOW)
    words = [f"host {host.name}" for host in snapshot.hosts.hosts] + [f"bundle {name}" for name in snapshot.bundles]
    words += [f"route {route.path}" for host in snapshot.hosts.hosts for route in host.routes]
    assert [word for word in words if word not in text] == []


def test_the_policy_example_has_every_rule() -> None:
    """The annotated list of rules is the whole list."""
    from proxy.decide.peer.policy.rules import RULES  # noqa: PLC0415 - this test alone reads the table

    text = (FOLDER / "policy.yaml").read_text()
    assert [rule for rule in RULES if f" {rule}:" not in text] == []
