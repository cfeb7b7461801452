"""What a part writes to the log, as lines that were read back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

from proxy.observe.log import Log
from proxy.observe.sink import Sink


def logged(act: Callable[[Log], object], timer: Callable[[], float] = time.monotonic) -> list[dict[str, Any]]:
    """Have something written to a log that is closed then, and return its lines; they may fill a pipe."""
    read, write = os.pipe()
    log = Log(Sink(write), timer=timer)
    try:
        act(log)
    finally:
        log.close()
        os.close(write)
    with os.fdopen(read, "rb") as pipe:
        return [json.loads(line) for line in pipe]
