"""The allocator: pieces of bodies are not taken from the kernel again and again."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

from proxy.supervise.allocator import KEPT, MAPPED

PIECE: Final = 256 * 1024
ROUNDS: Final = 200
PAGE_FAULTS: Final = """
import resource, sys
from proxy.supervise.allocator import keep_freed
if not keep_freed():
    sys.exit("no glibc")
def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        bytes(bytearray({piece}))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(10)
print(faults({rounds}))
"""


def test_a_piece_of_a_body_is_not_mapped_anew_each_time() -> None:
    """A process that makes and frees many takes its pages from the kernel once."""
    script = PAGE_FAULTS.format(piece=PIECE, rounds=ROUNDS)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    if "no glibc" in run.stderr:
        pytest.skip("another C library")
    assert int(run.stdout) < ROUNDS


def test_what_is_larger_than_any_piece_is_given_back() -> None:
    """A piece is one read of the event loop, with what was held before it."""
    assert 2 * PIECE < MAPPED < KEPT
