"""The demo's folder holds a PKI and a configuration that fit each other."""

from __future__ import annotations

from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.operate.demo.cases import CASES
from proxy.operate.demo.stage import Ports, Stage, build_stage


def stage_in(folder: Path) -> Stage:
    """Build a stage on ports that nothing will use."""
    return build_stage(folder, Ports(proxy=1, admin=2, app=3))


def test_every_file_that_the_configuration_names_is_there(tmp_path: Path) -> None:
    """Paths in it are relative to the folder, so that it can be moved and read."""
    stage = stage_in(tmp_path)
    config = yaml.safe_load(stage.config.read_text())
    names = [name for bundle in config["trust"].values() for name in bundle["anchors"]]
    names += config["hosts"][0]["certificate"].values()
    assert names == ["cdn-ca.pem", "partner-ca.pem", "server/chain.pem", "server/key.pem"]
    assert all((tmp_path / name).is_file() for name in names)


def test_every_private_key_is_for_its_owner_only(tmp_path: Path) -> None:
    """Even a throw-away key is written the way a real one should be."""
    stage_in(tmp_path)
    keys = list(tmp_path.rglob("key.pem"))
    assert len(keys) == 7
    assert all(key.stat().st_mode & 0o777 == 0o600 for key in keys)


def test_every_client_of_the_table_is_on_the_stage(tmp_path: Path) -> None:
    """A row that names a client nobody made would fail for the wrong reason."""
    stage = stage_in(tmp_path)
    named = {name for case in CASES for name in (case.client, case.seen_as) if name is not None}
    assert named == set(stage.credentials) == set(stage.identities)


def test_the_rogue_certificate_differs_from_the_right_one_by_its_signature_only(tmp_path: Path) -> None:
    """Names alone must not be enough to be taken for the CDN."""
    stage = stage_in(tmp_path)
    right, rogue = (
        x509.load_pem_x509_certificate(stage.credentials[name].chain.read_bytes()) for name in ("cdn", "rogue")
    )
    assert (right.subject, right.issuer) == (rogue.subject, rogue.issuer)
    names = [
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName) for certificate in (right, rogue)
    ]
    assert names[0] == names[1]
    assert right.public_bytes(Encoding.DER) != rogue.public_bytes(Encoding.DER)
