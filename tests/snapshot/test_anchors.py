"""Anchors with windows: what is read, what is refused, and what an operator is warned of."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest
from OpenSSL import SSL

from proxy.decide.peer.windows import Window, instant
from proxy.operate.check import check
from proxy.snapshot.assemble import Assembler, at_once
from proxy.snapshot.load import load
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepare import prepare
from proxy.snapshot.problems import ConfigError
from tests.support.certificates import DAY, NOW, make_ca
from tests.support.furnish import furnish, pem, write

TEXT = """\
listen: [{{address: "127.0.0.1:0"}}]
trust:
  cdn:
    anchors: [{anchors}]
upstreams: {{app: {{servers: ["http://127.0.0.1:9000"]}}}}
hosts:
  - names: [a.example]
    certificate: {{chain: tls/a.pem, key: tls/a.key}}
    routes: [{{path: /, trust: cdn, upstream: app}}]
"""
OLD, NEW, SHORT = make_ca("Old CA"), make_ca("New CA"), make_ca("Short CA", not_after=NOW + 5 * DAY)


def at(days: float) -> str:
    """Write a time some days from now."""
    return instant(NOW + days * DAY)


def written(folder: Path, anchors: str) -> Path:
    """Write a configuration with these anchors, and three authorities that they may name."""
    config = write(folder / "o.yaml", TEXT.format(anchors="spare.pem").encode())
    furnish(config)
    for name, authority in (("old", OLD), ("new", NEW), ("short", SHORT)):
        write(folder / f"{name}.pem", pem(authority))
        write(folder / "all" / f"{name}.pem", pem(authority))
    config.write_text(TEXT.format(anchors=anchors))
    return config


def loaded(folder: Path, anchors: str) -> Snapshot:
    """Load a configuration with these anchors."""
    return load(written(folder, anchors), 1, NOW)


ROTATION = f"{{file: old.pem, not_after: {at(2)}}}, {{file: new.pem, not_before: {at(1)}}}"


def test_windows_are_those_of_the_configuration(tmp_path: Path) -> None:
    """Both ways of naming an anchor are mixed; a rotation that leaves no gap is nothing to warn of."""
    snapshot = loaded(tmp_path, ROTATION + ", short.pem")
    assert snapshot.bundles["cdn"].windows == {
        OLD.certificate.fingerprint: Window(-inf, NOW + 2 * DAY),
        NEW.certificate.fingerprint: Window(NOW + DAY, inf),
    }
    assert snapshot.warnings == ()


def test_a_window_of_a_folder_is_that_of_all_in_it(tmp_path: Path) -> None:
    """Also of a file that comes into it later."""
    bundle = loaded(tmp_path, f"{{file: all/, not_after: {at(2)}}}").bundles["cdn"]
    assert len(bundle.windows) == len(bundle.anchors) == 3


@pytest.mark.parametrize("second", ["old.pem", "all/", f"{{file: old.pem, not_after: {at(3)}}}"])
def test_an_anchor_has_one_window(tmp_path: Path, second: str) -> None:
    """Named a second time without it, its window would mean nothing; whoever wrote it meant something."""
    config = written(tmp_path, f"\n      {{file: old.pem, not_after: {at(2)}}},\n      {second}")
    with pytest.raises(ConfigError) as caught:
        load(config, 1, NOW)
    (line,) = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert line.startswith("o.yaml:6: trust.cdn.anchors[1]: ")
    assert "old.pem: anchor CN=Old CA counts " in line
    assert f"until {at(2)} where old.pem is named; name it once" in line


@pytest.mark.parametrize("second", ["old.pem", f"{{file: all/old.pem, not_after: {at(2)}}}"])
def test_the_same_meaning_twice_is_no_problem(tmp_path: Path, second: str) -> None:
    """A folder and a file of it, say."""
    first = "old.pem" if second == "old.pem" else f"{{file: old.pem, not_after: {at(2)}}}"
    assert len(loaded(tmp_path, f"{first}, {second}, short.pem").bundles["cdn"].anchors) == 2


@pytest.mark.parametrize(
    ("anchors", "expected"),
    [
        (f"new.pem, {{file: old.pem, not_after: {at(-1)}}}",
         [f"[1]: old.pem: anchor CN=Old CA is trusted until {at(-1)}, which is over; it admits nobody"]),
        (f"{{file: old.pem, not_after: {at(-1)}}}",
         ["[0]: old.pem: anchor CN=Old CA is trusted until", ": now no anchor of this bundle is in its window"]),
        (f"{{file: new.pem, not_before: {at(1)}}}", [f": now until {at(1)} no anchor of this bundle is in its window"]),
        (f"{{file: old.pem, not_after: {at(1)}}}, {{file: new.pem, not_before: {at(2)}}}",
         [f": from {at(1)} on until {at(2)} no anchor of this bundle is in its window"]),
        (f"{{file: old.pem, not_after: {at(1)}}}", [f": from {at(1)} on no anchor of this bundle is in its window"]),
        (f"new.pem, {{file: short.pem, not_before: {at(6)}}}",
         [f"[1]: short.pem: anchor CN=Short CA is trusted from {at(6)}, but valid "]),
    ],
)  # fmt: skip
def test_a_window_that_shuts_clients_out_is_a_warning(tmp_path: Path, anchors: str, expected: list[str]) -> None:
    """The configuration is good, and may be what is wanted; nobody finds out at night."""
    found = [line.replace(f"{tmp_path}/", "") for line in loaded(tmp_path, anchors).warnings]
    assert len(found) == len(expected)
    assert [line for line, start in zip(found, expected, strict=True)
            if not line.startswith(f"o.yaml:4: trust.cdn.anchors{start}")] == []  # fmt: skip


def test_check_shows_windows(tmp_path: Path) -> None:
    """Beside each anchor that has one, and whether it is open."""
    lines: list[str] = []
    check(written(tmp_path, ROTATION), NOW, lines.append)
    shown = [line.strip() for line in lines if "trusted" in line]
    assert shown == [f"trusted until {at(2)}", f"trusted from {at(1)}, NOT NOW"]


def test_a_context_trusts_the_anchors_of_its_time(tmp_path: Path) -> None:
    """The names that clients are asked for are those of anchors that count; hosts without windows have one context."""
    snapshot = loaded(tmp_path, ROTATION)
    (context,) = snapshot.contexts.values()
    asked = [
        [name.CN for name in SSL.Connection(context.at(NOW + day * DAY), None).get_client_ca_list()]
        for day in (0, 0.5, 1, 1.5, 2, 3, 0)
    ]
    old, new, both = ["Old CA"], ["New CA"], ["Old CA", "New CA"]
    assert asked == [old, old, both, both, new, new, old]
    assert context.at(NOW) is context.at(NOW + DAY / 2)


def test_a_changed_window_is_another_bundle_and_context(tmp_path: Path) -> None:
    """The same windows again are the same objects."""
    assembler = Assembler()
    config = written(tmp_path, ROTATION)
    first, same = (at_once(assembler.assemble(prepare(config, NOW), n)) for n in (1, 2))
    config.write_text(config.read_text().replace(at(1), at(1.5)))
    other = at_once(assembler.assemble(prepare(config, NOW), 3))
    assert same.bundles["cdn"] is first.bundles["cdn"] is not other.bundles["cdn"]
    contexts = [next(iter(snapshot.contexts.values())) for snapshot in (first, same, other)]
    assert contexts[0] is contexts[1] is not contexts[2]
