"""Saved answers: the responses of responders on disk, so that a restart without network has the last good ones.

One file per question, named after its key: when it was fetched and from where, and the response in DER, which is
verified again when it is read. A thread of its own does the reading and writing; the loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final

from proxy.decide.facts import read_certificate
from proxy.decide.peer.answers import Answer, Status, Unusable
from proxy.decide.peer.needs import OcspNeed
from proxy.decide.peer.ocsp.response import MAX_RESPONSE, ends_at, read_answer
from proxy.decide.peer.ocsp.settings import SKEW
from proxy.snapshot.cache import Cache

SUFFIX: Final = ".ocsp"

MAX_SAVED: Final = 20_000
"""Files; of 4 KiB on most disks, 80 MB. Beyond it the oldest go, a tenth at a time."""

MAX_UNWRITTEN: Final = 1_000
"""Responses that wait for a slow disk, 2 KB each; beyond it they are not saved, and asked for anew after a restart."""

_HEAD: Final = Struct("!4sdH")
"""The format, when it was fetched (Unix seconds), and the octets of the address that follow; then the response."""

_FORMAT: Final = b"OCS1"
_MAX_FILE: Final = _HEAD.size + 2048 + MAX_RESPONSE


class SavedAnswers:
    """Responses in ``cache``, at most ``limit``. Make it in the loop, and close it at the end."""

    def __init__(self, cache: Cache, limit: int = MAX_SAVED) -> None:
        self._cache = cache
        self._limit = limit
        self._thread = ThreadPoolExecutor(1, "ocsp-saved")
        self._unwritten = 0
        self._count: int | None = None

    async def find(self, need: OcspNeed, now: float) -> Answer | None:
        """Return the answer that was saved, if it still counts at Unix time ``now``."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, need, now)

    async def save(self, need: OcspNeed, answer: Answer, der: bytes) -> bool:
        """Keep a response that was verified; False where the disk is too slow. Raises OSError."""
        if self._unwritten >= MAX_UNWRITTEN:
            return False
        self._unwritten += 1
        source = answer.source.encode()
        pieces = (_HEAD.pack(_FORMAT, answer.fetched_at, len(source)), source, der)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, need, answer, pieces)
        finally:
            self._unwritten -= 1
        return True

    def close(self) -> None:
        """Give up what is not written yet."""
        self._thread.shutdown(cancel_futures=True)

    def _read(self, need: OcspNeed, now: float) -> Answer | None:
        data = self._cache.read(_name(need), _MAX_FILE)
        answer = None if data is None else _verified(data, need, now)
        if answer is not None:
            self._use(need, answer)
        return answer

    def _use(self, need: OcspNeed, answer: Answer) -> None:
        """Note that an answer is in use: a revocation for as long as its certificate lasts, asked for or not."""
        is_revoked = answer.status is Status.REVOKED
        self._cache.use(_name(need), read_certificate(need.certificate).not_after if is_revoked else None)

    def _write(self, need: OcspNeed, answer: Answer, pieces: tuple[bytes, ...]) -> None:
        name = _name(need)
        new = not self._cache.path(name).exists()
        self._cache.write(name, pieces)
        self._use(need, answer)
        if self._count is None:
            self._count = sum(1 for _ in self._files())
        elif new:
            self._count += 1
        if self._count > self._limit:
            self._prune()

    def _prune(self) -> None:
        """Remove the files that were not used for the longest."""
        ages = sorted(self._files())
        for _, path in ages[: len(ages) - self._limit + self._limit // 10]:
            path.unlink(missing_ok=True)  # another instance may have been faster
        self._count = sum(1 for _ in self._files())

    def _files(self) -> Iterator[tuple[float, Path]]:
        with os.scandir(self._cache.directory) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    with suppress(FileNotFoundError):
                        yield entry.stat(follow_symlinks=False).st_mtime, Path(entry.path)


def _name(need: OcspNeed) -> str:
    return need.key.hex() + SUFFIX


def _verified(data: bytes, need: OcspNeed, now: float) -> Answer | None:
    """Verify a response as of when it was fetched, for a revocation outlives its signer; then ask whether it counts."""
    if len(data) < _HEAD.size:
        return None
    form, fetched_at, length = _HEAD.unpack_from(data)
    source, der = data[_HEAD.size : _HEAD.size + length], data[_HEAD.size + length :]
    if form != _FORMAT or not fetched_at <= now + SKEW or not source.isascii():
        return None
    answer = read_answer(der, need, None, source.decode(), fetched_at)
    return None if isinstance(answer, Unusable) or now > ends_at(answer, need.max_age) else answer
