"""What happens to an instance while traffic flows; each act says what it promises and reports what it saw."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from proxy.operate.demo.pki import Authority, Window
from tests.soak.crowd import Crowd
from tests.soak.footprint import busy, footprint, tree
from tests.soak.place import MEMBER, Place, hosts
from tests.soak.traffic import KEPT, NEW, Sent, quantile
from tests.support.broken import BROKEN, mend
from tests.support.processes import await_gone, metric, workers_of

_PEM = Encoding.PEM

WARM = 20
"""Reloads after which memory has found its level."""

GROWTH = 3 << 20
"""Octets that a process may add in the reloads after that: a generation that stayed would be more with each of them."""

AT_ONCE = 1.0
"""Seconds from a file's appearance to the end of the last connection that it ends."""

EXPIRY = 12
"""Seconds that the short-lived certificate is valid: its part of the crowd has to be open by then."""

PATIENCE = 15.0
IDLE_BUSY = 0.01
"""Share of a core that a supervisor may use under traffic: it carries none."""


def reloads(place: Place, number: int, quiet: float) -> None:
    """Reload in a row: no request fails, nothing grows, and answers take at most twice as long (p99)."""
    start = time.monotonic()
    time.sleep(quiet)
    without = place.traffic.within(start, time.monotonic())
    during: list[Sent] = []
    first, warm = time.monotonic(), footprint(place.pid, place.processes)
    for count in range(number):
        mark = place.proxy.mark()
        place.replace("anchors/more.pem", Authority.root(f"CA {count}").certificate.public_bytes(_PEM))
        began = time.monotonic()
        place.proxy.process.send_signal(signal.SIGHUP)
        line = place.reloaded(mark)
        assert line["event"] == "reload.done", line
        during += place.traffic.within(began, time.monotonic())
        if count == min(WARM, number // 2):
            warm = footprint(place.pid, place.processes)
    end, after = time.monotonic(), footprint(place.pid, place.processes)
    failed = place.failures(start, end)
    sent = len(place.traffic.within(first, end))
    each = (end - first) / number * 1e3
    place.report.promise(
        f"{number} reloads in a row fail no request", f"{sent} sent, {failed[:3]}, {each:.0f} ms each", kept=not failed
    )
    ratio = quantile(during, 0.99) / quantile(without, 0.99)
    figures = f"{quantile(during, 0.99):.1f} ms beside {quantile(without, 0.99):.1f} ms = {ratio:.2f} x"
    place.report.promise("p99 of answers during a reload is at most twice that without", figures, kept=ratio <= 2)
    grown = after.resident - warm.resident < GROWTH * place.processes
    same = after.descriptors <= warm.descriptors + KEPT and after.zombies == 0
    place.report.promise("nothing grows", f"{warm} -> {after}, {after.zombies} zombies", kept=grown and same)


def crowd(place: Place, connections: int, identities: int) -> None:
    """Revoke, remove, tighten, expire: each ends the connections of one identity, at once, and no other."""
    each = connections // identities
    who = {
        "revoked": place.edge("revoked"),
        "unanchored": place.edge("unanchored", place.old),
        "stranger": place.edge("stranger", dns=("stranger.example",)),
        **{f"edge {number}": place.edge(f"edge {number}") for number in range(identities - 4)},
    }
    everybody = Crowd(place.proxy.port, place.folder)
    for name, credential in who.items():
        everybody.join(name, credential, each)
    short = place.edge("expiring", window=Window.around_now(timedelta(hours=1), timedelta(seconds=EXPIRY)))
    everybody.join("expiring", short, each)
    began = time.monotonic()
    # The last second belongs to its life (RFC 5280 4.1.2.5: notAfter is included).
    over = time.monotonic() + short.certificate.not_valid_after_utc.timestamp() + 1 - time.time()
    acts: tuple[tuple[str, str, Callable[[], float]], ...] = (
        ("expiring", "expired", lambda: over),
        ("revoked", "revoked", lambda: place.revoke(who["revoked"])),
        ("unanchored", "untrusted-issuer", lambda: _remove(place)),
        ("stranger", "name-not-allowed", lambda: place.configure(hosts=hosts(san_dns=[MEMBER]))),
    )
    for name, reason, act in acts:
        _one_goes(place, everybody, name, reason, act)
    served = everybody.size - everybody.unserved()
    failed = place.failures(began, time.monotonic())
    everybody.end()
    figures = f"{served} of {connections - 4 * each} served after all of it, traffic: {failed[:3]}"
    place.report.promise("whoever stays is served", figures, kept=served == connections - 4 * each and not failed)


def _remove(place: Place) -> float:
    (place.folder / "anchors" / "old.pem").unlink()
    return time.monotonic()


def _one_goes(place: Place, everybody: Crowd, name: str, reason: str, act: Callable[[], float]) -> None:
    mark, expected, size = place.proxy.mark(), len(everybody.open[name]), everybody.size
    appeared = act()
    gone = everybody.leave(name, PATIENCE)
    logged = _withdrawn(place, mark, expected)
    took = gone.at - appeared
    figures = (
        f"{gone.closed} of {expected} in {took * 1e3:.0f} ms, {gone.disturbed} of {size - expected} others disturbed, "
        f"logged {dict(logged)}"
    )
    kept = gone.closed == expected and took <= AT_ONCE and not gone.disturbed and logged == {reason: expected}
    place.report.promise(f"{size} open connections, one identity {reason}", figures, kept=kept)


def _withdrawn(place: Place, mark: int, expected: int) -> Counter[str]:
    """Count the reasons of what is logged; the log is written by a thread that may be behind."""
    deadline = time.monotonic() + PATIENCE
    while True:
        counted: Counter[str] = Counter()
        for line in place.proxy.lines[mark:]:
            if line["event"] == "connection.withdrawn":
                counted[line["reason"]] += line.get("folded", 1)
        if counted.total() >= expected or time.monotonic() > deadline:
            return counted
        time.sleep(0.05)


def broken_files(place: Place) -> None:
    """Offer every kind of broken file: what was in force serves on, and a line says what was wrong."""
    (place.folder / "anchors" / "old.pem").unlink(missing_ok=True)
    start, unsaid = time.monotonic(), []
    for kind, (name, destroy, words) in BROKEN.items():
        file = place.folder / name
        contents, mark = file.read_bytes(), place.proxy.mark()
        destroy(file)
        try:
            place.proxy.wait_for(lambda line, w=words: w in str(line.get("problems")), mark)  # type: ignore[misc]
        except AssertionError:
            unsaid.append(kind)
        mend(file, contents)
        while metric(place.proxy, "originward_config_last_reload_successful") != 1:
            time.sleep(0.05)
    failed = place.failures(start, time.monotonic())
    figures = f"unsaid: {unsaid}, failed: {failed[:3]}"
    place.report.promise(f"{len(BROKEN)} broken files change nothing", figures, kept=not unsaid and not failed)


def killed_workers(place: Place, times: int, connections: int) -> None:
    """Kill workers: each takes its own connections along, nobody is refused, and it is replaced."""
    for _ in range(times):
        mark, start = place.proxy.mark(), time.monotonic()
        held = Crowd(place.proxy.port, place.folder)
        held.join("held", place.edge("held"), connections)
        name, victim = min(workers_of(place.proxy).items())
        ours = {connection.getsockname()[1] for connection in held.open["held"]}
        parts = _ports_by_worker(place, mark, ours)
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        number = name.rpartition("-")[2]
        place.proxy.wait_for(lambda li, n=number: li["event"] == "worker.started" and str(li["worker"]) == n, mark)  # type: ignore[misc]
        back = time.monotonic() - killed
        heard = {connection.getsockname()[1] for connection in held.heard()}
        time.sleep(1)
        failed = place.failures(start, time.monotonic())
        late = [one for one in place.traffic.within(killed + 1, time.monotonic()) if one.fault]
        refused = [fault for fault in failed if "refused" in fault.lower()]
        figures = (
            f"{len(heard)} of {connections} idle connections ended, the workers had {[len(part) for part in parts]}, "
            f"of the traffic {len(failed)} requests failed, {len(refused)} refused, {len(late)} a second later, back in"
            f" {back * 1e3:.0f} ms"
        )
        kept = heard in parts and len(failed) <= KEPT + NEW and not refused and not late
        place.report.promise("kill -9 of a worker under load", figures, kept=kept)
        held.end()


def _ports_by_worker(place: Place, mark: int, ours: set[int]) -> list[set[int]]:
    """Tell from the log which of our connections belong together: the numbers of a worker's have one prefix."""
    parts: dict[str, set[int]] = {}

    def known(line: dict[str, Any]) -> bool:
        if line["event"] == "handshake.accepted":
            parts.setdefault(line["conn"].partition("-")[0], set()).add(int(line["peer"].rpartition(":")[2]))
        return ours <= set().union(*parts.values())

    place.proxy.wait_for(known, mark)
    return [part & ours for part in parts.values()]


def idle_supervisor(place: Place, seconds: float) -> None:
    """Look at what the supervisor does while its workers carry the traffic: next to nothing."""
    before = busy(place.pid)
    time.sleep(seconds)
    share = (busy(place.pid) - before) / seconds
    place.report.promise("the supervisor is idle", f"{share:.2%} of a core", kept=share <= IDLE_BUSY)


def killed_supervisor(place: Place) -> None:
    """Kill the supervisor: nothing that it started lives on."""
    below = tree(place.pid)[1:]
    start = time.monotonic()
    place.proxy.process.kill()
    place.proxy.process.wait()
    try:
        await_gone(*below)
        kept = True
    except AssertionError:
        kept = False
    figures = f"{len(below)} processes gone in {(time.monotonic() - start) * 1e3:.0f} ms"
    place.report.promise("kill -9 of the supervisor leaves no orphans", figures, kept=kept)
