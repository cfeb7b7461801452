"""A change of one bundle costs the judgements of that bundle, and never keeps an old one."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.decide.peer import verdicts
from proxy.decide.peer.chain import Path as VerifiedPath
from proxy.decide.peer.chain import Peer
from proxy.decide.peer.gate import Gate, judge
from proxy.decide.verdict import Refused, Verdict
from proxy.operate.demo.pki import Leaf
from tests.support.harness import RawOrigin
from tests.support.site import TLS, required
from tests.support.stage import stage

OTHER = "other.test"


def test_a_crl_of_one_bundle_leaves_the_verdicts_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in a row; the revoked client of the first one goes each time, though the memory of the second is kept."""
    judged: list[str] = []

    def recording(peer: Peer, gate: Gate, now: float, path: VerifiedPath | Refused | None = None) -> Verdict:
        judged.append(peer.leaf.subject)
        return judge(peer, gate, now, path)

    monkeypatch.setattr(verdicts, "judge", recording)
    with RawOrigin() as origin, stage(tmp_path, origin.port) as made:
        revocation = made.document["trust"]["cdn"]["revocation"]
        made.publish(
            trust={"cdn": {"anchors": ["cdn.pem"], "revocation": revocation}, "other": {"anchors": ["other.pem"]}},
            hosts=[*made.routes(required()), {"names": [OTHER], "certificate": TLS, "routes": [required("other")]}],
        )
        stays = made.other.issue(Leaf(subject="stays"))
        with made.house.client(stays, OTHER) as staying:
            assert staying.get("/", OTHER).status == 200
            for number in range(2):
                goes = made.cdn.issue(Leaf(subject=f"goes {number}"))
                with made.house.client(goes) as closing:
                    assert closing.get("/", "origin.test").status == 200
                    made.revoke(goes)
                    made.house.publish()
                    assert closing.read() == b""
                assert staying.get("/", OTHER).status == 200
    assert judged.count("CN=stays") == 1
    assert [judged.count(f"CN=goes {number}") for number in range(2)] == [2, 2]
