"""Sums: what several processes count is shown as one, and never goes backwards."""

from __future__ import annotations

import pickle
from dataclasses import fields
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.decide.verdict import Reason
from proxy.observe.counters import AnchorUse
from proxy.observe.exposition import Exposition
from proxy.observe.metrics import Expiry, Metrics
from proxy.supervise.sums import DESCRIBED, LATEST, OPEN, OWN, ROUTES_PER_PART, Sums, join, parts

PASSING = ("originward_connections_open", "originward_handshakes_in_progress", "originward_upstream_connections_open")
"""What is open now, as it is exposed."""


COUNTED = ("connect_failures_total", "connections_open", "connects_total", "retries_total", "reused_total")


def worked(times: int) -> Metrics:
    """Make the metrics of a process that did everything so many times."""
    metrics = Metrics(log_dropped=lambda: times)
    metrics.generation = 1
    metrics.connections_open = metrics.connections_total = metrics.handshakes_in_progress = times
    metrics.internal_errors = times
    for _ in range(times):
        metrics.handshake_accepted("host", 0.2)
        metrics.handshake_refused(Reason.EXPIRED, "host")
        metrics.request_refused(Reason.NO_ROUTE)
    route = metrics.route("host", "/")
    metrics.route("host", "/unused/")
    route.responses[2] += times
    route.bytes_in += times
    route.bytes_out += times
    for _ in range(times):
        route.seconds.observe(0.02)
    upstream = metrics.upstream("app")
    for name in COUNTED:
        setattr(upstream, name, times)
    return metrics


def sent(metrics: Metrics) -> dict[str, Any]:
    """Return the counters of a process as they arrive at another."""
    return join(pickle.loads(pickle.dumps(part)) for part in parts(metrics))  # noqa: S301 - just written


def shown(sums: Sums) -> dict[tuple[str, str], float]:
    """Return all our samples of the page, by name and labels."""
    total = Metrics()
    sums.fill(total, Metrics())
    page = b"".join(Exposition(total).parts()).decode()
    return {
        (sample.name, str(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("originward_") and not sample.name.endswith("_created")
    }


def of(*workers: int) -> Sums:
    """Return the sums of workers that did everything so many times each."""
    sums = Sums()
    for number, times in enumerate(workers, 1):
        sums.update(number, sent(worked(times)))
    return sums


def test_two_workers_are_one_that_did_the_work_of_both() -> None:
    """Counters, gauges and histograms, for every label."""
    assert shown(of(3, 4)) == pytest.approx(shown(of(7)))


def test_how_the_last_reload_went_is_said_by_who_made_it() -> None:
    """It is no sum, and no worker knows."""
    sums, total = of(1, 2), Metrics()
    sums.fill(total, Metrics(last_reload_successful=False, last_reload_success=5.0))
    assert (total.last_reload_successful, total.last_reload_success) == (False, 5.0)


def test_what_a_worker_counted_stays_when_it_is_gone() -> None:
    """What it had open does not."""
    sums = of(3, 4)
    before = shown(sums)
    sums.retire(1)
    after = shown(sums)
    assert {key: value for key, value in after.items() if key[0] not in PASSING} == {
        key: value for key, value in before.items() if key[0] not in PASSING
    }
    assert [after[name, labels] for name, labels in after if name in PASSING] == [4, 4, 4]


def test_its_replacement_counts_on() -> None:
    """From the sum, although it begins at nothing."""
    sums = of(3, 4)
    sums.retire(1)
    sums.update(1, sent(worked(0)))
    sums.update(1, sent(worked(2)))
    after = shown(sums)
    assert after["originward_connections_total", "[]"] == 9
    assert after["originward_connections_open", "[]"] == 6


def test_nothing_goes_backwards_when_all_are_gone() -> None:
    """Between the end of the last one and the start of the next."""
    sums = of(3)
    sums.retire(1)
    assert sums.open_at(1) == 0
    assert shown(sums)["originward_connections_total", "[]"] == 3
    key = "[('code_class', '2xx'), ('host', 'host'), ('route', '/')]"
    assert shown(sums)["originward_requests_total", key] == 3


def test_a_route_that_is_gone_everywhere_is_shown_no_more() -> None:
    """Or a site that changes would fill the page."""
    sums = of(3)
    sums.retire(1)
    fresh = Metrics()
    fresh.generation = 2
    fresh.route("host", "/new/")
    sums.update(1, sent(fresh))
    assert {labels for name, labels in shown(sums) if name == "originward_request_bytes_total"} == {
        "[('host', 'host'), ('route', '/new/')]"
    }


def test_many_routes_come_in_parts() -> None:
    """Each of them quick; together they are all."""
    metrics = Metrics()
    for number in range(2 * ROUTES_PER_PART + 1):
        metrics.route("host", f"/{number}/").responses[2] = number
    assert len(list(parts(metrics))) == 4
    assert len(sent(metrics)["routes"]) == 2 * ROUTES_PER_PART + 1


def test_the_newest_generation_describes_the_site() -> None:
    """In the moment of a change workers may answer from either side of it."""
    sums = of(1, 1)
    newer = worked(1)
    newer.generation = 9
    sums.update(2, sent(newer))
    assert shown(sums)["originward_config_generation", "[]"] == 9


def test_every_field_can_be_sent_and_added() -> None:
    """A new counter is summed without a change here; what is not a sum has to be named there."""
    total = Metrics()
    of(1, 2).fill(total, Metrics())
    known = {field.name for field in fields(Metrics)}
    assert known >= DESCRIBED | LATEST | OPEN | OWN
    for field in fields(Metrics):
        assert type(getattr(total, field.name)) is type(getattr(worked(1), field.name)), field.name


def test_an_anchor_was_last_used_when_any_worker_saw_it_last() -> None:
    """Times are no counts: of several, the latest; also where that worker is gone."""
    sums = Sums()
    anchors = (Expiry(("cdn", "aa", "CN=A"), 9e9), Expiry(("cdn", "bb", "CN=B"), 9e9))
    for number, (first, second) in enumerate([(5.0, 0.0), (7.0, 0.0), (6.0, 0.0)], 1):
        metrics = Metrics(anchors=anchors, generation=1)
        metrics.anchor_uses = {("cdn", "aa"): AnchorUse(first), ("cdn", "bb"): AnchorUse(second)}
        sums.update(number, sent(metrics))
    labels = "[('bundle', 'cdn'), ('fingerprint', '{}'), ('subject', 'CN={}')]"
    for _ in range(2):
        page = shown(sums)
        assert page["originward_anchor_last_used_timestamp_seconds", labels.format("aa", "A")] == 7.0
        assert page["originward_anchor_last_used_timestamp_seconds", labels.format("bb", "B")] == 0.0
        sums.retire(2)
