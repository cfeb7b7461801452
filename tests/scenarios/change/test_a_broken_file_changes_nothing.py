"""A broken file, of every kind, offered while traffic flows: what was in force serves on, and one line says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.operate.demo.pki import Authority, Leaf
from tests.support.broken import BROKEN, mend
from tests.support.harness import ProxyProcess, RawOrigin, TlsClient, running
from tests.support.site import ZONE, required, small_site


@dataclass
class Place:
    """A running proxy, with a client that has been there since before anything broke."""

    folder: Path
    proxy: ProxyProcess
    cdn: Authority
    client: TlsClient


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Run one proxy for all of it: each file is mended again."""
    folder = tmp_path_factory.mktemp("site")
    with RawOrigin() as origin:
        trust = {"cdn": {"anchors": ["cdn.pem", "anchors/"]}}
        config, cdn = small_site(folder, origin.port, required(), trust=trust)
        (folder / "anchors").mkdir()
        Authority.root("More CA").write(folder / "anchors" / "more.pem")
        with running(config) as proxy:
            credential = cdn.issue(Leaf(dns=("edge.example",)))
            with TlsClient(proxy.port, ZONE, credential).handshake() as client:
                yield Place(folder, proxy, cdn, client)


@pytest.mark.parametrize(("name", "destroy", "words"), BROKEN.values(), ids=BROKEN)
def test_what_was_in_force_serves_on(here: Place, name: str, destroy: Callable[[Path], object], words: str) -> None:
    """For a client that is there and for a new one; repaired, the file is what it was."""
    file = here.folder / name
    contents = file.read_bytes()
    mark = here.proxy.mark()
    destroy(file)
    try:
        line = here.proxy.wait_for(
            lambda line: line["event"] == "reload.failed" and words in str(line["problems"]), mark
        )
        assert (line["level"], line["result"]) == ("error", "failed")
        assert here.client.get("/", ZONE).status == 200
        with TlsClient(here.proxy.port, ZONE, here.cdn.issue(Leaf(dns=("edge.example",)))).handshake() as client:
            assert client.get("/", ZONE).status == 200
        page = here.proxy.metrics()
        assert "originward_config_last_reload_successful 0.0" in page
        assert f"originward_config_generation {line['generation']}.0" in page
    finally:
        mark = here.proxy.mark()
        mend(file, contents)
    while "originward_config_last_reload_successful 1.0" not in here.proxy.metrics():
        assert here.proxy.process.poll() is None
