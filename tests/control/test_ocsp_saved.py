"""Saved answers: what is read back was verified again; what is altered, over or too much is not there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from proxy.control.ocsp_saved import SUFFIX, SavedAnswers
from proxy.decide.peer.answers import Answer
from proxy.decide.peer.needs import OcspNeed
from proxy.decide.peer.ocsp.response import read_answer
from proxy.decide.peer.ocsp.settings import SKEW
from proxy.snapshot.cache import UNUSED, Cache, open_cache
from tests.support.certificates import DAY, NOW, make_ca, make_leaf
from tests.support.ocsp import REVOKED, Single, make_delegate, need_for, respond

T = TypeVar("T")
CA: Final = make_ca()
OTHER: Final = make_ca("Other CA")
LEAF: Final = make_leaf(CA)
NEED: Final = need_for(CA, LEAF)
GOOD: Final = respond(Single(CA, LEAF))
URL: Final = NEED.urls[0]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Make a cache."""
    return open_cache(tmp_path / "cache")


def run(cache: Cache, work: Callable[[SavedAnswers], Coroutine[Any, Any, T]], limit: int = 100) -> T:
    """Work with saved answers."""

    async def whole() -> T:
        saved = SavedAnswers(cache, limit)
        try:
            return await work(saved)
        finally:
            saved.close()

    return asyncio.run(whole())


def verified(need: OcspNeed, der: bytes) -> Answer:
    """Read a response as it would be read from the network."""
    answer = read_answer(der, need, None, URL, NOW)
    assert isinstance(answer, Answer), answer
    return answer


def save(cache: Cache, need: OcspNeed, der: bytes) -> Answer:
    """Save a response."""
    answer = verified(need, der)
    assert run(cache, lambda saved: saved.save(need, answer, der))
    return answer


def find(cache: Cache, need: OcspNeed = NEED, now: float = NOW) -> Answer | None:
    """Look for an answer."""
    return run(cache, lambda saved: saved.find(need, now))


def test_an_answer_is_read_as_it_was(cache: Cache) -> None:
    """With the time and the address that it came from."""
    answer = save(cache, NEED, GOOD)
    assert find(cache, now=NOW + 3600) == answer
    assert find(cache, need_for(CA, make_leaf(CA))) is None, "nobody asked about this one"


def test_a_revocation_outlives_its_signer(cache: Cache) -> None:
    """It was verified when it came, and is again as of then."""
    delegate = make_delegate(CA, not_after=NOW + DAY)
    answer = save(cache, NEED, respond(Single(CA, LEAF, REVOKED), signer=delegate))
    assert find(cache, now=NOW + 365 * DAY) == answer


def test_an_answer_that_is_over_is_not_there(cache: Cache) -> None:
    """The network has to say."""
    save(cache, NEED, GOOD)
    assert find(cache, now=NOW + DAY + SKEW - 1) is not None
    assert find(cache, now=NOW + DAY + SKEW + 1) is None


@pytest.mark.parametrize("change", ["cut", "flipped", "empty", "other form", "future", "other signer", "other leaf"])
def test_what_was_altered_is_not_there(cache: Cache, change: str) -> None:
    """A file is believed no more than a responder is."""
    save(cache, NEED, GOOD)
    path = cache.path(NEED.key.hex() + SUFFIX)
    data = path.read_bytes()
    head = data[: data.index(URL.encode())]
    forged = respond(Single(CA, LEAF), signer=OTHER, named=CA)
    path.write_bytes({
        "cut": data[:-1],
        "flipped": data[:-1] + bytes([data[-1] ^ 1]),
        "empty": b"",
        "other form": b"OCS9" + data[4:],
        "future": data,
        "other signer": head + URL.encode() + forged,
        "other leaf": head + URL.encode() + respond(Single(CA, make_leaf(CA))),
    }[change])  # fmt: skip
    assert find(cache, now=NOW - SKEW - 1 if change == "future" else NOW) is None


def test_a_revocation_is_kept_as_long_as_its_certificate_lasts(cache: Cache) -> None:
    """However long nobody asks about it: a restart beside a dead responder must not forget it."""
    other = need_for(CA, make_leaf(CA))
    answer = save(cache, NEED, respond(Single(CA, LEAF, REVOKED)))
    cache.write(other.key.hex() + SUFFIX, (b"",))
    os.utime(cache.path(other.key.hex() + SUFFIX), (NOW, NOW))
    end = LEAF.certificate.not_after
    assert cache.keep([], end) == 1
    assert find(cache, now=end) == answer
    assert cache.keep([], end + UNUSED + 1) == 1


def test_the_longest_unused_go_first(cache: Cache) -> None:
    """The number is bounded, and what is used is kept."""
    leaves = [make_leaf(CA, key=LEAF.key) for _ in range(11)]
    needs = [need_for(CA, leaf) for leaf in leaves]
    responses = [respond(Single(CA, leaf)) for leaf in leaves]

    async def work(saved: SavedAnswers) -> None:
        for age, need in enumerate(needs[:10]):
            await saved.save(need, verified(need, responses[age]), responses[age])
            os.utime(cache.path(need.key.hex() + SUFFIX), (age, age))
        await saved.find(needs[0], NOW)  # now it is used
        await saved.save(needs[10], verified(needs[10], responses[10]), responses[10])

    run(cache, work, limit=10)
    left = {path.name.removesuffix(SUFFIX) for path in cache.directory.iterdir()}
    assert len(left) == 9
    assert {needs[0].key.hex(), needs[10].key.hex()} <= left
    assert not {needs[1].key.hex(), needs[2].key.hex()} & left
