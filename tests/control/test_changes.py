"""Changes: what is said of the difference between two generations, and what no reload changes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from proxy.control.changes import MAX_SHOWN, changes_between, fixed_changes
from proxy.snapshot.config import Config, validate


def packed(**entries: str) -> bytes:
    """Pack an inventory of routes, with what is shown of each, which is all of it."""
    return pickle.dumps({("route", name): (shown, shown) for name, shown in entries.items()})


def test_parts_come_and_go_by_name() -> None:
    """With what they are, as far as that is said."""
    changes = changes_between(packed(a="x", b=""), packed(b="", c="", d="y"))
    assert changes.added == ("route c", "route d: y")
    assert changes.removed == ("route a: x",)
    assert changes.changed == ()


def test_what_stays_under_its_name_shows_before_and_after() -> None:
    """Where only the hidden part differs, its name has to do."""
    before = pickle.dumps({("certificate", "a"): ("CN=a", "1"), ("limit", "head"): ("1", "1")})
    after = pickle.dumps({("certificate", "a"): ("CN=a", "2"), ("limit", "head"): ("2", "2")})
    assert changes_between(before, after).changed == ("certificate a", "limit head: 1 -> 2")


def test_no_difference_is_none() -> None:
    """And counts as false."""
    assert not changes_between(packed(a="x"), packed(a="x"))
    assert changes_between(packed(a="x"), packed())


def test_a_thousand_changes_are_a_hundred_and_a_number() -> None:
    """A line of the log stays a line."""
    added = changes_between(packed(), packed(**{f"r{number}": "" for number in range(1000)})).added
    assert len(added) == MAX_SHOWN + 1
    assert added[-1] == f"and {1000 - MAX_SHOWN} more"


def configured(**more: object) -> Config:
    """Make a configuration, with further sections."""
    route = {"path": "/", "client_certificate": "none", "upstream": "app"}
    values = {
        "listen": [{"address": "127.0.0.1:8443"}],
        "upstreams": {"app": {"servers": ["http://127.0.0.1:9000"]}},
        "hosts": [{"names": ["a.example"], "certificate": {"chain": "a", "key": "b"}, "routes": [route]}],
    }
    return validate({**values, **more}, Path("/etc/originward"))


@pytest.mark.parametrize(
    ("section", "value", "words"),
    [
        ("workers", 2, "workers: 1 -> 2"),
        ("listen", [{"address": "127.0.0.1:9443"}], "listen: ['127.0.0.1:8443'] -> ['127.0.0.1:9443']"),
        ("admin", {"address": "off"}, "admin.address: 127.0.0.1:9901 -> None"),
        ("log", {"target": "log"}, "log.target: stdout -> /etc/originward/log"),
        ("cache", {"directory": "cache"}, "cache.directory: None -> /etc/originward/cache"),
    ],
)
def test_what_is_opened_once_takes_a_restart(section: str, value: object, words: str) -> None:
    """It is said, with both values, and never passed over."""
    (sentence,) = fixed_changes(configured(), configured(**{section: value}))
    assert sentence.startswith(f"{words} takes a restart")


def test_everything_else_a_reload_can_change() -> None:
    """Such as what is logged, and limits."""
    assert fixed_changes(configured(), configured(limits={"head": "8KiB"}, log={"requests": "all"})) == ()
