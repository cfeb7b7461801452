"""What is said at the start about the system."""

from __future__ import annotations

import resource

import pytest

from proxy.snapshot.limits import Limits
from proxy.supervise.announce import OWN_DESCRIPTORS, allow_descriptors, allow_more


def test_open_files_are_allowed_for_or_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit is raised as far as it goes; what is missing beyond is said before clients feel it."""
    asked: list[tuple[int, int]] = []
    limits = Limits.model_construct(connections=1000)
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, pair: asked.append(pair))
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1024, 4096))
    assert not list(allow_descriptors(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1024, 1500))
    assert "allows 1500 open files" in next(allow_descriptors(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1 << 20, 1 << 20))
    assert not list(allow_descriptors(limits))
    assert asked == [(2 * 1000 + OWN_DESCRIPTORS, 4096), (1500, 1500)]


def test_a_new_generation_repeats_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each CRL that comes is one; what was said at the start, or with another limit, is said once."""
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, _pair: None)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1024, 1500))
    start, more = (Limits.model_construct(connections=number) for number in (1000, 2000))
    warned = {start.connections}
    assert [len(list(allow_more(limits, warned))) for limits in (start, more, more, start)] == [0, 1, 0, 0]
