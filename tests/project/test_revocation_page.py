"""The page about revocation explains what the log can say of responders."""

from __future__ import annotations

import re
from pathlib import Path

from proxy.decide.peer.answers import Fault
from proxy.snapshot.config_trust import OcspConfig

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_lists_exactly_the_closed_list_of_faults_in_its_order() -> None:
    """One that nobody explains helps nobody."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", (DOCS / "revocation.md").read_text(), re.MULTILINE)
    assert [row[0] for row in rows if row[0] in set(Fault)] == [str(fault) for fault in Fault]


def test_the_reference_has_the_defaults_of_ocsp() -> None:
    """As the code has them."""
    text = (DOCS / "configuration.md").read_text()
    shown = dict(re.findall(r"^\| `ocsp\.(\w+)` \| [^|]+ \| `([^`]+)` \|", text, re.MULTILINE))
    default = OcspConfig.model_fields
    assert shown.pop("responder") == "aia"
    assert {key: value.removesuffix("s").replace("1h", "3600") for key, value in shown.items()} == {
        key: f"{default[key].default:g}" if isinstance(default[key].default, float) else str(default[key].default)
        for key in ("mode", "timeout", "nonce", "digest", "refresh")
    }
