"""``originward reload CONFIG``: tell the running proxy to read its files again, and say what came of it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from proxy.decide.text import printable
from proxy.observe.admin import COMMAND_FIELD
from proxy.snapshot.address import Address
from proxy.snapshot.prepare import read_frame

WAIT_SECONDS: Final = 130.0
"""For a reload, and for the one before it that may be under way: each may take a minute."""

GOOD: Final = frozenset({"done", "unchanged"})
BAD_CONFIGURATION: Final = "failed"


def reload_command(path: Path, admin: Address | None, write: Callable[[str], None]) -> int:
    """Ask the proxy at ``admin``, or at the admin address of the configuration at ``path``, to reload.

    Return 0 where it did, 1 where it refuses to, and 2 where the configuration or one of its files is bad. Raises
    ConfigError where the configuration does not even say where to ask, and OSError where nobody answers.
    """
    address = admin or read_frame(path).admin.address
    if address is None:
        write("the configuration has no admin address (admin: {address: off}); send the process SIGHUP")
        return 1
    if not address.port:
        write(f"the configuration leaves the admin port to the system ({address}); give it with --admin")
        return 2
    status, answer = _ask(address)
    for line in _lines(status, answer):
        write(line)
    result = answer.get("result")
    return 0 if result in GOOD else 2 if result == BAD_CONFIGURATION else 1


def _ask(address: Address) -> tuple[int, Mapping[str, Any]]:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    connection = http.client.HTTPConnection(host, address.port, timeout=WAIT_SECONDS)
    try:
        connection.request("POST", "/reload", headers={COMMAND_FIELD: "reload"})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except http.client.HTTPException as fault:
        raise OSError(f"what answers at {address} is no originward: {type(fault).__name__}") from fault
    except OSError as fault:
        raise OSError(fault.errno, f"no proxy answers at the admin address {address}: {fault}") from fault
    finally:
        connection.close()
    try:
        answer = json.loads(text)
    except ValueError:
        answer = {"words": text.strip()}
    return response.status, answer if isinstance(answer, dict) else {}


def _lines(status: int, answer: Mapping[str, Any]) -> Iterator[str]:
    result = answer.get("result")
    if result is None:
        words = printable(str(answer.get("words", "")))
        yield f"the proxy does not take the command (HTTP {status} {words}); is this its admin address?"
        return
    generation, ms = answer.get("generation"), answer.get("ms")
    yield {
        "done": f"reloaded: generation {generation} is in force ({ms} ms)",
        "unchanged": f"nothing has changed: generation {generation} stays in force",
    }.get(result, f"not reloaded: generation {generation} stays in force")
    for name in ("added", "removed", "changed", "problems"):
        for sentence in answer.get(name, ()):
            yield f"    {printable(str(sentence), 2000)}" if name == "problems" else f"    {name:<8} {sentence}"
