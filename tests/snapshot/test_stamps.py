"""Stamps: which paths count, where their changes show, and that nothing waits for a FIFO."""

from __future__ import annotations

import os
from pathlib import Path

from proxy.snapshot.config import validate
from proxy.snapshot.stamps import named_by, places_of, stamp


def test_everything_that_is_named_counts(tmp_path: Path) -> None:
    """Files and folders of bundles and hosts; not where the log goes."""
    config = validate(
        {
            "listen": [{"address": "127.0.0.1:0"}],
            "trust": {
                "cdn": {
                    "anchors": ["ca.pem", "more/"],
                    "revocation": {"crl": {"sources": ["crl/"], "issuers": ["signer.pem"]}},
                }
            },
            "upstreams": {"app": {"servers": ["http://127.0.0.1:9000"]}},
            "hosts": [
                {
                    "names": ["a.example"],
                    "certificate": {"chain": "a.pem", "key": "a.key"},
                    "routes": [{"path": "/", "trust": "cdn", "upstream": "app"}],
                }
            ],
            "log": {"target": "log"},
        },
        tmp_path,
    )
    names = [os.path.relpath(name, tmp_path) for name in named_by(tmp_path / "o.yaml", config)]
    assert names == ["o.yaml", "ca.pem", "more", "crl", "signer.pem", "a.pem", "a.key"]


def test_a_configuration_that_cannot_be_read_names_itself(tmp_path: Path) -> None:
    """Its repair has to be seen."""
    assert named_by(tmp_path / "o.yaml", None) == (str(tmp_path / "o.yaml"),)


def test_links_count_where_they_lie(tmp_path: Path) -> None:
    """Each one on the way, and the file at the end."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "ca.pem").write_text("x")
    (tmp_path / "data").symlink_to("real")
    (tmp_path / "ca.pem").symlink_to("data/ca.pem")
    assert places_of([str(tmp_path / "ca.pem")]) == {
        str(tmp_path): {"ca.pem", "data"},
        str(tmp_path / "real"): {"ca.pem"},
    }


def test_a_folder_counts_with_all_that_is_in_it(tmp_path: Path) -> None:
    """And with its own name, for it may be replaced."""
    (tmp_path / "anchors").mkdir()
    assert places_of([str(tmp_path / "anchors")]) == {str(tmp_path): {"anchors"}, str(tmp_path / "anchors"): None}


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """As they do for the kernel."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert places_of([str(tmp_path / "a")]) == {str(tmp_path): {"a", "b"}}
    assert stamp([str(tmp_path / "a")])


def test_a_stamp_is_that_of_contents_not_of_reading(tmp_path: Path) -> None:
    """Being read is no change; being written, replaced, or given another mode is."""
    file = tmp_path / "file"
    file.write_text("one")
    stamps = [stamp([str(file)])]
    file.read_text()
    assert stamp([str(file)]) == stamps[0]
    file.chmod(0o600)
    stamps.append(stamp([str(file)]))
    file.unlink()
    stamps.append(stamp([str(file)]))
    os.mkfifo(file)  # nobody writes to it, and nobody waits for that
    stamps.append(stamp([str(file)]))
    assert len(set(stamps)) == 4
