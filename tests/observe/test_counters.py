"""Counters: plain integers, and histograms of durations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.counters import REQUEST_BOUNDS, Histogram


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_counts_each_observation_in_its_bucket(values: list[float]) -> None:
    """A bound includes its own value, as ``le`` says."""
    histogram = Histogram(REQUEST_BOUNDS)
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    for index, bound in enumerate(REQUEST_BOUNDS):
        assert sum(histogram.counts[: index + 1]) == sum(value <= bound for value in values)
