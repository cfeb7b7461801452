"""The inventory: every part has an entry, and every change shows in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.snapshot.inventory import read_inventory
from proxy.snapshot.prepare import prepare
from tests.support.certificates import NOW, make_ca
from tests.support.furnish import furnished, pem, write

TEXT = """\
listen: [{address: "127.0.0.1:0"}]
trust:
  cdn: {anchors: [cdn.pem]}
upstreams: {app: {servers: ["http://127.0.0.1:9000"]}}
hosts:
  - names: [a.example]
    certificate: {chain: tls/a.pem, key: tls/a.key}
    routes: [{path: /, trust: cdn, policy: {san_dns: ["*.a.example"], spki_pins: ["sha256:PIN"]}, upstream: app}]
""".replace("PIN", 64 * "0")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Make a good configuration with everything that it names."""
    return furnished(tmp_path, TEXT)


def differing(config: Path, old: str, new: str) -> set[str]:
    """Return the kinds and names of the entries that a change of the text adds, removes or changes."""
    before = read_inventory(prepare(config, NOW).inventory)
    assert old in TEXT
    config.write_text(TEXT.replace(old, new))
    after = read_inventory(prepare(config, NOW).inventory)
    return {" ".join(key) for key in {*before, *after} if before.get(key) != after.get(key)}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("*.a.example", "*.b.example", {"policy a.example/ san_dns"}),
        ("sha256:0", "sha256:1", {
            "policy a.example/ spki_pins", f"pin a.example/ spki_pins sha256:{64 * '0'}",
            f"pin a.example/ spki_pins sha256:1{63 * '0'}",
        }),
        ("/, trust", "/new/, trust", {
            f"{kind} a.example/{path}{rule}" for path in ("", "new/") for kind, rule in (
                ("route", ""), ("policy", " san_dns"), ("policy", " spki_pins"),
                ("pin", f" spki_pins sha256:{64 * '0'}"),
            )
        }),
        ("upstream: app}", "max_body: 1KiB, upstream: app}", {"route a.example/"}),
        ("[a.example]", "[a.example, b.example]", {"host a.example"}),
        ("[cdn.pem]}", "[cdn.pem], require_eku: true}", {"bundle cdn"}),
        ("127.0.0.1:9000", "127.0.0.1:9001", {"upstream app"}),
        ("127.0.0.1:0", "127.0.0.2:0", {"setting listen.0"}),
        ("hosts:", "limits: {head: 8KiB}\nhosts:", {"limit head"}),
        ("hosts:", "log: {requests: all}\nhosts:", {"setting log.requests"}),
        ("hosts:", "# a remark\nhosts:", set()),
    ],
)  # fmt: skip
def test_a_change_shows_under_its_name(config: Path, old: str, new: str, expected: set[str]) -> None:
    """And nothing else does."""
    assert differing(config, old, new) == expected


def test_files_show_by_their_contents(config: Path) -> None:
    """An anchor is told from another by its fingerprint, not by the name of its file."""
    before = read_inventory(prepare(config, NOW).inventory)
    write(config.parent / "cdn.pem", pem(make_ca("Other")))
    after = read_inventory(prepare(config, NOW).inventory)
    assert [kind for kind, _ in set(before) ^ set(after)] == ["anchor", "anchor"]
    assert next(name for _, name in set(after) - set(before)).startswith("cdn: CN=Other sha256:")


def test_a_window_shows_at_its_anchor(config: Path) -> None:
    """It is changed, not removed and added."""
    window = "[{file: cdn.pem, not_after: 2030-01-01T00:00:00Z}]"
    (name,) = differing(config, "[cdn.pem]", window)
    assert name.startswith("anchor cdn: CN=cdn CA sha256:")
    shown = dict(read_inventory(prepare(config, NOW).inventory))["anchor", name.removeprefix("anchor ")]
    assert shown[0] == "trusted until 2030-01-01T00:00:00Z"
