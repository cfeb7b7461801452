"""What tests of the control plane share: a helper, one each file, as it is slow to start; and a server elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.control.offload import Offload
from tests.support.web import Web


@pytest.fixture(scope="module")
def offload() -> Iterator[Offload]:
    """Start a helper, in a fresh interpreter, as the tests' process has threads."""
    shared = Offload()
    yield shared
    shared.close()


@pytest.fixture
def server() -> Iterator[Web]:
    """Start a server."""
    with Web() as found:
        yield found
