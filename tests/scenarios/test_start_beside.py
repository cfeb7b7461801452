"""A new instance starts beside the old one on the same port, the old one is stopped, and nobody notices."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from proxy.operate.demo.pki import Leaf
from tests.support.harness import PATIENCE, RawOrigin, running
from tests.support.load import Load
from tests.support.site import small_site, write_config


@pytest.mark.parametrize("workers", [1, 2])
def test_a_replacement_on_the_same_port_refuses_nobody(workers: int, tmp_path: Path) -> None:
    """Not in the queue of the old one, and not on the way there; the admin address passes on, too."""
    with RawOrigin() as origin, ExitStack() as ends:
        config, cdn = small_site(tmp_path / "old", origin.port, workers=workers)
        old = ends.enter_context(running(config))
        listen, admin = ({"address": f"127.0.0.1:{port}"} for port in (old.port, old.admin_port))
        write_config(config.parent, {**yaml.safe_load(config.read_text()), "listen": [listen], "admin": admin})
        load = Load(old.port, cdn.issue(Leaf(subject="edge")))
        ends.callback(load.end)
        load.goes_on(20)
        new = ends.enter_context(running(config))
        warning = new.wait_for(lambda line: line["event"] == "warning" and "another process" in line["detail"])
        assert f"127.0.0.1:{old.port}" in warning["detail"]
        assert (new.port, new.admin_port) == (old.port, old.admin_port)
        load.goes_on(20)
        old.process.terminate()
        assert old.process.wait(PATIENCE) == 0
        load.goes_on(20)
        load.end()
        assert load.failed == []
        assert "originward_connections_total 0.0" not in new.metrics()
