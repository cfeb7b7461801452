"""The README promises only what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from proxy.operate.demo.cases import CASES, Case
from proxy.operate.demo.client import Answer
from proxy.operate.demo.demo import Row
from proxy.snapshot.config import validate

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LINKS = sorted({target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target})


@pytest.mark.parametrize("target", LINKS)
def test_every_link_leads_somewhere(target: str) -> None:
    """A page that is promised is there."""
    assert (ROOT / target).exists()


def test_the_configuration_is_one_that_the_proxy_takes(tmp_path: Path) -> None:
    """What a stranger copies has to work; unknown keys would be errors."""
    (block,) = re.findall(r"```yaml\n(.+?)```", README, re.DOTALL)
    config = validate(yaml.safe_load(block), tmp_path)
    assert [route.path for route in config.hosts[0].routes] == ["/", "/public/"]
    assert config.log.requests == "all"


@pytest.mark.parametrize("case", CASES, ids=[f"{case.title}: {case.request.path}" for case in CASES])
def test_the_table_shows_every_row_of_the_demo_as_expected(case: Case) -> None:
    """The printed table is the demo's own, not one of an earlier version."""
    _, request, expected, _, _ = Row(case, Answer(0, b""), "", None).cells
    assert re.search(rf"^ok +{re.escape(request)} +{re.escape(expected)} ", README, re.MULTILINE)


def test_the_make_goals_exist() -> None:
    """The two commands, and whatever else is named."""
    makefile = (ROOT / "Makefile").read_text()
    goals = set(re.findall(r"\bmake ([a-z][a-z-]*)\b", README))
    assert {"demo", "test"} <= goals
    assert all(re.search(rf"^{goal}:", makefile, re.MULTILINE) for goal in goals)
