"""What tests of the control plane share: one helper each file, which is slow to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.control.offload import Offload


@pytest.fixture(scope="module")
def offload() -> Iterator[Offload]:
    """Start a helper, in a fresh interpreter, as the tests' process has threads."""
    shared = Offload()
    yield shared
    shared.close()
