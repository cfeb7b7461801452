"""The usual ``process_*`` metrics, of a supervisor and its workers together."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

ALONE: Final = frozenset({"process_start_time_seconds", "process_max_fds"})
"""What is told of the supervisor alone: when the instance began, and what the system allows each process."""

_CPU: Final = "process_cpu_seconds"


class Processes(Collector):
    """Sums up this process and ``others``, by their numbers; CPU seconds of those that have ended stay in the sum."""

    def __init__(self, others: Callable[[], Iterable[int]]) -> None:
        self._others = others

    def collect(self) -> Iterator[Metric]:
        """Yield every family once."""
        families = {family.name: family for family in _families(os.getpid())}
        for process in self._others():
            for family in _families(process):
                known = families.get(family.name)
                if known is not None and family.name not in ALONE:
                    _add(known, family.samples[0].value)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        if _CPU in families:
            _add(families[_CPU], ended.ru_utime + ended.ru_stime)
        yield from families.values()


def _families(process: int) -> Iterable[Metric]:
    return ProcessCollector(pid=lambda: process, registry=None).collect()


def _add(family: Metric, value: float) -> None:
    sample = family.samples[0]
    family.samples[0] = sample._replace(value=sample.value + value)
