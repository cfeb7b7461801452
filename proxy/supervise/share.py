"""A worker's share of what the configuration says of the whole instance.

The kernel deals connections to the workers by a hash, so each gets about its part; shares are rounded up, and never
nothing. Memory that each needs for itself (``cached_verdicts``) is not divided.
"""

from __future__ import annotations

from math import ceil

from proxy.snapshot.config import Config, UpstreamConfig
from proxy.snapshot.fields import Frozen
from proxy.snapshot.limits import Limits


def share(config: Config, workers: int) -> Config:
    """Return what one of ``workers`` goes by."""
    if workers == 1:
        return config
    upstreams = {name: _of_upstream(upstream, workers) for name, upstream in config.upstreams.items()}
    return config.model_copy(
        update={"limits": _of_limits(config.limits, workers), "upstreams": Frozen(upstreams)}
    )  # fmt: skip


def _of_limits(limits: Limits, workers: int) -> Limits:
    rate = limits.handshake_rate
    return limits.model_copy(
        update={
            "connections": ceil(limits.connections / workers),
            "handshakes": ceil(limits.handshakes / workers),
            "handshake_rate": None if rate is None else rate / workers,
        }
    )


def _of_upstream(upstream: UpstreamConfig, workers: int) -> UpstreamConfig:
    return upstream.model_copy(
        update={
            "max_connections": ceil(upstream.max_connections / workers),
            "max_idle": ceil(upstream.max_idle / workers),
        }
    )
