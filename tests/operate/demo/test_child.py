"""The demo reads the proxy's log as it grows, and says why a proxy does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.operate.demo import child
from proxy.operate.demo.child import LogTail, StartError, running_proxy
from proxy.operate.demo.stage import Ports, build_stage

ACCEPTED = b'{"event":"handshake.accepted"}\n'
REFUSED = b'{"event":"request.refused","reason":"no-certificate"}\n'
REQUEST = b'{"event":"request","status":200}\n'


def test_the_next_decision_is_the_first_deciding_line(tmp_path: Path) -> None:
    """An accepted handshake is followed by its request, which decides."""
    log = tmp_path / "log"
    log.write_bytes(ACCEPTED + REFUSED + REQUEST)
    tail = LogTail(log)
    first, second = tail.next_decision(), tail.next_decision()
    assert first == {"event": "request.refused", "reason": "no-certificate"}
    assert second == {"event": "request", "status": 200}


def test_what_was_there_before_is_skipped(tmp_path: Path) -> None:
    """A row is never judged by the line of the row before it."""
    log = tmp_path / "log"
    log.write_bytes(REFUSED)
    tail = LogTail(log)
    tail.skip()
    with log.open("ab") as file:
        file.write(REQUEST)
    assert tail.next_decision() == {"event": "request", "status": 200}


@pytest.mark.parametrize("content", [None, b"", ACCEPTED, REQUEST[:-1]], ids=["no file", "empty", "accepted", "half"])
def test_no_decision_in_time_is_none(tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, a line that decides nothing and half a line are waited for, but not for ever."""
    monkeypatch.setattr(child, "LOG_LIMIT", 0.05)
    log = tmp_path / "log"
    if content is not None:
        log.write_bytes(content)
    assert LogTail(log).next_decision() is None


def test_a_proxy_that_does_not_start_is_reported_with_what_it_wrote(tmp_path: Path) -> None:
    """A broken configuration ends the demo with the proxy's own words."""
    stage = build_stage(tmp_path, Ports(proxy=1, admin=2, app=3))
    stage.config.write_text("listen: []\nno-such-key: 1\n")
    with pytest.raises(StartError, match="no-such-key"), running_proxy(stage):
        pytest.fail("a proxy without a configuration became ready")
