"""Warnings before a presented certificate ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.facts import Certificate, read_certificate
from proxy.observe.expiry import DAY, THRESHOLDS, ExpiryWatch

END = 4_000_000_000.0


def _leaf() -> Certificate:
    pem = trustme.CA().issue_cert("edge.example.com").cert_chain_pems[0].bytes()
    cert = read_certificate(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
    return replace(cert, not_after=END)


LEAF = _leaf()

# Each row: the days left at each sight of one certificate, and what is due then.
ROWS: list[tuple[str, list[float], list[int | None]]] = [
    ("far from its end", [365, 31, 30.001], [None, None, None]),
    ("each threshold once", [30, 29, 14, 13.9, 7, 3, 2, 1, 0.5, 0], [30, None, 14, None, 7, 3, None, 1, None, None]),
    ("first seen late, the closest only", [5, 5, 2.9], [7, None, 3]),
    ("seen on its last day", [0.2, 0.1], [1, None]),
    ("expired", [-0.1, -5], [None, None]),
    ("a clock that was set back says nothing twice", [5, 20, 5], [7, None, None]),
]


@pytest.mark.parametrize(("left", "due"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_certificate_is_warned_of_at_each_threshold_once(left: list[float], due: list[int | None]) -> None:
    """The warnings come at 30, 14, 7, 3 and 1 days, and not with every connection."""
    watch = ExpiryWatch()
    assert [watch.due(LEAF, END - days * DAY) for days in left] == due


def test_certificates_are_told_apart_by_fingerprint() -> None:
    """A renewed certificate with the same subject has its own warnings."""
    watch = ExpiryWatch()
    other = replace(LEAF, fingerprint="other")
    assert [watch.due(cert, END - DAY) for cert in (LEAF, other, LEAF, other)] == [1, 1, None, None]


def test_a_full_table_forgets_the_one_seen_longest_ago() -> None:
    """Forgetting repeats a warning and never silences one."""
    watch = ExpiryWatch(max_certificates=2)
    one, two, three = (replace(LEAF, fingerprint=name) for name in ("1", "2", "3"))
    seen = [watch.due(cert, END - DAY) for cert in (one, two, one, three, one, two)]
    assert seen == [1, 1, None, 1, None, 1]


@given(st.lists(st.floats(0, 40), max_size=40))
def test_no_certificate_is_warned_of_more_often_than_there_are_thresholds(left: list[float]) -> None:
    """Whatever the clock does, the warnings of one certificate come closer and closer to its end."""
    watch = ExpiryWatch()
    due = [days for days in (watch.due(LEAF, END - days * DAY) for days in left) if days is not None]
    assert due == sorted(set(due), reverse=True)
    assert set(due) <= set(THRESHOLDS)
