"""The page for those who run it, and the alert rules, name the metrics, paths and keys that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from proxy.decide.verdict import Reason
from proxy.observe.exposition import Exposition
from proxy.observe.metrics import Metrics
from proxy.observe.ocsp import ResponderMetrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
ALERTS = yaml.safe_load((ROOT / "config" / "alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
TABLE = re.findall(r"^\| `(originward_\w+)` \| (.*?) ?\| (.+) \|$", PAGE, re.MULTILINE)


def exposed() -> Iterator[tuple[str, set[str]]]:
    """Yield the metrics of a process that has seen one of everything, and their labels."""
    metrics = Metrics()
    metrics.route("host", "/")
    metrics.upstream("app")
    metrics.handshake_accepted("host", 0.1)
    metrics.ocsp.responders["ocsp.example:80"] = ResponderMetrics({"good": 1})
    page = b"".join(Exposition(metrics).parts()).decode()
    for family in text_string_to_metric_families(page):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, {label for sample in family.samples for label in sample.labels} - {"le"}


def test_every_metric_has_its_row_and_every_row_its_metric() -> None:
    """What is measured is explained, and what is explained is measured."""
    ours = [name for name, _ in exposed() if name.startswith("originward_")]
    assert [name for name, _, _ in TABLE] == ours


@pytest.mark.parametrize(("name", "labels"), [pair for pair in exposed() if pair[1]])
def test_every_label_is_in_the_row(name: str, labels: set[str]) -> None:
    """Whoever writes a query needs them."""
    (row,) = [row for row in TABLE if row[0] == name]
    assert set(re.findall(r"`(\w+)`", row[1])) == labels


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_asks_for_what_is_measured(rule: dict[str, Any]) -> None:
    """Names and reasons exist, and the text that people get is there."""
    expression = rule["expr"]
    known = {name for name, _ in exposed()} | {"up"}
    words = re.sub(r'"[^"]*"', "", expression)
    assert set(re.findall(r"\b(?:originward|process|up)\w*\b", words)) <= known | {"originward"}
    for listed in re.findall(r'reason=~?"([^"]+)"', expression):
        for pattern in listed.split("|"):
            assert any(re.fullmatch(pattern, reason) for reason in Reason), pattern
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]


def test_alerts_have_names_of_their_own() -> None:
    """Two of the same name would be one in the pager."""
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)


def test_every_link_of_every_page_leads_somewhere() -> None:
    """Also to a heading of a page."""
    for page in (ROOT / "docs").glob("*.md"):
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", page.read_text()):
            file = page.parent / target if target else page
            assert file.exists(), f"{page.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{page.name}: {target}#{anchor}"
