"""Change: who may ask a running instance to reload, and who is told what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from proxy.control.crl_refresh import CrlRefresh
from proxy.control.plane import Outcome, Plane
from proxy.control.report import WATCH, Report, fields_of
from proxy.control.upkeep import keep_tending
from proxy.control.watch import Watch
from proxy.observe.admin import Admin
from proxy.observe.log import Log
from proxy.observe.metrics import Metrics
from proxy.snapshot.prepared import Prepared
from proxy.supervise.notify import Notifier
from proxy.supervise.signals import HangUps


@dataclass(frozen=True, slots=True)
class Manager:
    """What the service manager, or a person in its place, is heard and answered by."""

    notifier: Notifier
    hangups: HangUps


@dataclass(frozen=True, slots=True)
class Control:
    """What an instance starts with: its first generation, whole, and who keeps it up to date; and what they tell."""

    prepared: Prepared
    log: Log
    metrics: Metrics
    refresh: CrlRefresh


async def keep_changing(plane: Plane, manager: Manager, admin: Admin, control: Control) -> None:
    """Reload whenever told to: by a signal, on the admin address, or by a change of the files.

    Whoever asks by the first two is somebody who cannot wait: all CRLs elsewhere are asked for, too.
    """
    log = control.log
    report = Report(log, control.metrics)
    watch = Watch(
        lambda: plane.watched,
        lambda: plane.prepared.frame.reload.watch,
        lambda: asyncio.shield(plane.request(WATCH)),
        lambda detail: log.write("warning", level="warning", detail=detail),
    )

    def ended(outcome: Outcome) -> None:
        report(outcome)
        manager.notifier.ready(f"generation {outcome.generation}")
        watch.nudge()

    def ask(trigger: str) -> asyncio.Task[Outcome]:
        control.refresh.hurry()
        return plane.request(trigger)

    async def command() -> tuple[HTTPStatus, dict[str, object]]:
        outcome = await asyncio.shield(ask("command"))
        return HTTPStatus.CONFLICT if outcome.problems else HTTPStatus.OK, fields_of(outcome)

    plane.begins, plane.ended = manager.notifier.reloading, ended
    admin.commands["/reload"] = command
    manager.hangups.attach(asyncio.get_running_loop(), lambda: ask("signal"))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watch.run())
        tasks.create_task(keep_tending(plane, log))
