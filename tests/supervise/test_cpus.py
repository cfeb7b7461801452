"""How many CPUs there are for us: what the affinity allows, and less where a control group has a quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.supervise.cpus import usable_cpus


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the affinity allow eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))


def groups(tmp_path: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write what the kernel would show."""
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "membership", tmp_path / "cgroup"


@pytest.mark.parametrize(
    ("membership", "files", "count"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "100000 50000\n", "a/cpu.max": "300000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "nonsense\n"}, 8),
        ("4:cpu,cpuacct:/x\n1:name=systemd:/x\n", {
            "cpu,cpuacct/x/cpu.cfs_quota_us": "400000\n", "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
        }, 4),
        ("4:cpu,cpuacct:/x\n", {
            "cpu,cpuacct/x/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
        }, 8),
        ("0::/\n", {"cpu.max": "9000000 100000\n"}, 8),
    ],
)  # fmt: skip
def test_the_smallest_quota_on_the_way_up_counts(
    membership: str, files: dict[str, str], count: int, tmp_path: Path
) -> None:
    """Both versions of control groups; a part of a CPU is none, and none is one."""
    assert usable_cpus(*groups(tmp_path, membership, files)) == count


def test_without_the_kernels_word_the_affinity_counts(tmp_path: Path) -> None:
    """In a chroot without /proc."""
    assert usable_cpus(tmp_path / "none", tmp_path) == 8
