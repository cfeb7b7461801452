"""A worker's share: together the workers have what the instance has, and none has nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.snapshot.config import Config
from proxy.snapshot.prepare import prepare
from proxy.supervise.share import share
from tests.support.site import small_site


def config_with(tmp_path: Path, **limits: object) -> Config:
    """Prepare a configuration with these limits."""
    upstreams = {"app": {"servers": ["http://127.0.0.1:9"], "max_connections": 5, "max_idle": 0}}
    path, _ = small_site(tmp_path, 9, limits=limits, upstreams=upstreams)
    return prepare(path, 0.0, None).frame


def test_one_worker_has_everything(tmp_path: Path) -> None:
    """Nothing is divided by one."""
    config = config_with(tmp_path)
    assert share(config, 1) is config


@pytest.mark.parametrize(
    ("workers", "shares", "to_app"), [(2, (50, 2, 5.0), 3), (3, (34, 1, 10 / 3), 2), (8, (13, 1, 1.25), 1)]
)
def test_counts_are_rounded_up_and_rates_are_exact(
    workers: int, shares: tuple[float, ...], to_app: int, tmp_path: Path
) -> None:
    """What a worker holds in memory for itself, and what concerns one client only, is not divided."""
    config = config_with(tmp_path, connections=100, handshakes=3, handshake_rate=10, cached_verdicts=100)
    limits = share(config, workers).limits
    assert (limits.connections, limits.handshakes, limits.handshake_rate) == shares
    assert limits.cached_verdicts == 100
    assert limits.head == config.limits.head
    upstream = share(config, workers).upstreams["app"]
    assert (upstream.max_connections, upstream.max_idle) == (to_app, 0)


def test_no_rate_stays_none(tmp_path: Path) -> None:
    """Off is off in every worker."""
    assert share(config_with(tmp_path), 4).limits.handshake_rate is None
