"""The stage of a task: the origin and the proxies, each on its core, all with the same keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench.peers import PEERS
from bench.peers.model import Order
from bench.peers.nginx import origin as origin_command
from bench.plan import Task
from bench.processes import Cores, Tree, free_port, running
from bench.site import Site


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A proxy that runs and can be measured."""

    name: str
    task: Task
    site: Site
    port: int
    tree: Tree
    origin: Tree
    order: Order
    reloads: Iterator[int] = field(default_factory=lambda: count(1))


@contextmanager
def origin(folder: Path, cores: Cores) -> Iterator[tuple[Site, Tree]]:
    """Run the origin on the load's core; make the site that it serves."""
    own = folder / "origin"
    own.mkdir(parents=True)
    port = free_port()
    site = Site(folder, port)
    command = origin_command(own, site.write_bodies(), port)
    with running(command, cores.load, own / "output.log") as tree:
        yield site, tree


@contextmanager
def stage(task: Task, names: Iterable[str], at: tuple[Site, Tree], cores: Cores, label: str) -> Iterator[list[Subject]]:
    """Start those of the proxies that can do the task; ``label`` names their folders."""
    site, origin_tree = at
    with ExitStack() as stack:
        subjects = []
        for name in names:
            if not PEERS[name].can(task):
                continue
            folder = site.folder / f"{label}-{name}"
            folder.mkdir()
            order = Order(task=task, site=site, folder=folder, port=free_port())
            command = PEERS[name].configure(order)
            tree = stack.enter_context(running(command, cores.for_workers(task.workers), folder / "output.log"))
            subjects.append(
                Subject(name=name, task=task, site=site, port=order.port, tree=tree, origin=origin_tree, order=order)
            )
        yield subjects
