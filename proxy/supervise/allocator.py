"""The allocator of a process that moves bodies: what it makes and frees all the time stays mapped."""

from __future__ import annotations

import ctypes
from typing import Final

KEPT: Final = 4 * 1024 * 1024
"""Octets free at the end of the heap before the kernel gets them back: many pieces of bodies that are on their way."""

MAPPED: Final = 1024 * 1024
"""Octets of a block that gets pages of its own, to be given back at once: more than a piece of a body ever takes."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def keep_freed() -> bool:
    """Set glibc's thresholds; return whether that is the allocator's library.

    Its own are 128 KiB to begin with, and follow what is freed. Where a piece of 256 KiB happens to lie at the end of
    the heap, each one is taken from the kernel and given back, which clears its pages anew each time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT) and mallopt(_M_MMAP_THRESHOLD, MAPPED))
