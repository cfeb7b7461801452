"""Two gateways for all the scenarios of HTTP: a patient one with the default limits, and a hasty one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gateway import App, Gateway, free_port, gateway, required


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway with the default limits and the default log."""
    with gateway(tmp_path_factory.mktemp("patient")) as running:
        yield running


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway whose time-outs are a second, with an app that is down and one that takes one connection."""
    dead = {"servers": [f"http://127.0.0.1:{free_port()}"]}
    waits = ("head", "idle", "body", "write", "upstream_connect", "upstream_response")
    limits = {f"{name}_timeout": "1s" for name in waits}
    folder = tmp_path_factory.mktemp("hasty")
    with App() as single:
        upstreams = {"dead": dead, "single": {"servers": [f"http://127.0.0.1:{single.port}"], "max_connections": 1}}
        routes = [required(f"/{name}/", name) for name in upstreams]
        with gateway(folder, upstreams, routes, limits=limits, log={"requests": "all"}) as running:
            single.handlers, single.visits = running.app.handlers, running.app.visits
            yield running
