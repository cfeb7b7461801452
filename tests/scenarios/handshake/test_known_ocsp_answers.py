"""An OCSP answer that is in memory decides in the handshake, with its alert and its evidence in the log."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from proxy.decide.facts import read_certificate
from proxy.decide.peer.answers import Answer, Failure, Fault, Outcome, Status
from proxy.decide.peer.ocsp.status import Subject, need_of
from tests.support.harness import RawOrigin, TlsClient
from tests.support.indoors import Indoors, indoors
from tests.support.refusals import alert_of
from tests.support.site import ZONE

URL: Final = "http://ocsp.pki.example/"
TRUST: Final[dict[str, Any]] = {
    "cdn": {"anchors": ["cdn.pem"], "revocation": {"check": "leaf", "ocsp": {"responder": URL}}}
}


def told(hall: Indoors, outcome: Outcome, *, admitted: bool = False) -> str | int | None:
    """Settle the client's need, and let it come; return the alert that it sees, or the status if it is admitted."""
    house, settled = hall.house, Event()
    bundle = house.in_force.snapshot.bundles["cdn"]
    leaf = read_certificate(hall.credential.certificate.public_bytes(Encoding.DER))
    assert bundle.revocation is not None
    assert bundle.revocation.ocsp is not None
    answers, subject = bundle.revocation.answers, Subject(leaf, bundle.anchors[0], 0, "cdn")
    need = need_of(subject, bundle.revocation.ocsp, (URL,))

    def settle() -> None:
        if answers.put(need.key, outcome):
            house.in_force.verdicts.forget(need.fingerprint)
        settled.set()

    house.loop.call_soon_threadsafe(settle)
    assert settled.wait(5)
    with TlsClient(hall.port, ZONE, hall.credential) as client:
        return client.handshake().get("/", ZONE).status if admitted else alert_of(client)


def test_what_is_known_of_a_client_is_its_answer(tmp_path: Path) -> None:
    """No answer, then good, unknown, and revoked: each with its alert, and the refusals with all that was said."""
    now = time.time()
    good = Answer(Status.GOOD, now - 90, now + 600, now - 90, now - 60, URL, "CN=Responder")
    unknown = replace(good, status=Status.UNKNOWN, this_update=now - 80)
    revoked = replace(
        good, status=Status.REVOKED, this_update=now - 70, revoked_at=now - 3600, reason="keyCompromise"
    )
    failed = Failure(Fault.TIMED_OUT, "no answer within 2 s", URL, now - 5, now + 600)

    def visit(hall: Indoors) -> list[str | int | None]:
        return [told(hall, outcome, admitted=outcome is good) for outcome in (failed, good, unknown, revoked)]

    with RawOrigin() as origin:
        alerts, hall = indoors(tmp_path, visit, origin, trust=TRUST)
    assert alerts == ["bad_certificate", 200, "bad_certificate", "certificate_revoked"]
    lines = {line["reason"]: line for line in hall.lines() if line["event"] == "handshake.refused"}
    assert list(lines) == ["ocsp-unavailable", "ocsp-unknown", "revoked"]
    without, doubtful, listed = (line["revocation"][0] for line in lines.values())
    assert (without["source"], without["ocsp_status"], without["ocsp_fault"]) == (URL, "unavailable", "timed-out")
    assert (doubtful["ocsp_status"], doubtful["responder"], doubtful["depth"]) == ("unknown", "CN=Responder", 0)
    assert (listed["ocsp_status"], listed["revocation_reason"]) == ("revoked", "keyCompromise")
    assert 70 <= listed["age"] < 100
    assert {"this_update", "next_update", "fetched_at", "revoked_at"} <= listed.keys()
