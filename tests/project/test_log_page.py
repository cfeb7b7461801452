"""The page about the log lists what the log can say."""

from __future__ import annotations

import re
from pathlib import Path

from proxy.decide.verdict import Reason

PAGE = Path(__file__).parents[2] / "docs" / "log.md"


def test_the_page_lists_exactly_the_closed_list_in_its_order() -> None:
    """A reason that nobody explains helps nobody; one that no longer exists misleads."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    reasons = [row[0] for row in rows if row[0] in set(Reason)]
    assert reasons == [str(reason) for reason in Reason]
