"""A certificate as a log line shows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.decide.facts import Certificate, read_certificate
from proxy.decide.peer.answers import Answer, Failure, Fault, Status
from proxy.decide.peer.ocsp.evidence import OcspEvidence, of_answer, of_failure
from proxy.observe.expiry import DAY
from proxy.observe.fields import MAX_SAN, certificate_fields, iso_time, revocation_fields, serial_text


@pytest.fixture(scope="module")
def leaf() -> Certificate:
    """Make a real leaf once."""
    pem = trustme.CA().issue_cert("edge.example.com", common_name="edge").cert_chain_pems[0].bytes()
    return read_certificate(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))


def test_a_certificate_is_shown_with_what_identifies_it(leaf: Certificate) -> None:
    """All that an operator needs to find the certificate again is there, in openssl's notation."""
    end = datetime(2030, 1, 31, 12, tzinfo=UTC).timestamp()
    cert = replace(
        leaf,
        subject="CN=edge",
        issuer="CN=cdn ca",
        serial=0xABC,
        not_before=end - 30 * DAY,
        not_after=end,
        san_dns=("edge.example.com",),
        san_uri=("spiffe://corp/edge",),
        san_email=("ops@example.com",),
        san_ip=(ip_address("192.0.2.1"),),
    )
    assert certificate_fields(cert, end - 2.5 * DAY) == {
        "subject": "CN=edge",
        "issuer": "CN=cdn ca",
        "serial": "0ABC",
        "san": ["DNS:edge.example.com", "URI:spiffe://corp/edge", "email:ops@example.com", "IP:192.0.2.1"],
        "fingerprint": f"sha256:{leaf.fingerprint}",
        "not_before": "2030-01-01T12:00:00Z",
        "not_after": "2030-01-31T12:00:00Z",
        "days_left": 2,
    }


@pytest.mark.parametrize(("left", "days"), [(0.0, 0), (DAY - 1, 0), (DAY, 1), (-1.0, -1), (-DAY - 1, -2)])
def test_days_left_are_whole_days_and_negative_after_the_end(leaf: Certificate, left: float, days: int) -> None:
    """A certificate that ended a second ago has no day left."""
    assert certificate_fields(leaf, leaf.not_after - left)["days_left"] == days


def test_a_certificate_with_thousands_of_names_shows_some(leaf: Certificate) -> None:
    """The number of names shown is bounded, and the rest is counted."""
    cert = replace(leaf, san_dns=tuple(f"{n}.example.com" for n in range(5000)))
    san = certificate_fields(cert, 0)["san"]
    assert isinstance(san, list)
    assert len(san) == MAX_SAN + 1
    assert san[-1] == f"… and {5000 - MAX_SAN} more"


@pytest.mark.parametrize(("serial", "shown"), [(0, "00"), (15, "0F"), (0x1234, "1234"), (0xFFF, "0FFF"), (-1, "-01")])
def test_serials_are_written_as_openssl_writes_them(serial: int, shown: str) -> None:
    """Upper case, whole octets."""
    assert serial_text(serial) == shown


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31T23:59:59Z"),
        (datetime(1950, 1, 1, tzinfo=UTC), "1950-01-01T00:00:00Z"),
        (datetime(999, 1, 1, tzinfo=UTC), "0999-01-01T00:00:00Z"),
    ],
)
def test_times_at_the_ends_of_what_x509_can_say_are_written(moment: datetime, shown: str) -> None:
    """RFC 5280, section 4.1.2.5: 9999-12-31 means without a well-defined end."""
    assert iso_time(moment.timestamp()) == shown


_ANSWER = Answer(
    Status.REVOKED, 1_800_000_000.0, None, 1_800_000_000.0, 1_800_000_030.0, "http://ocsp.example/", "CN=Responder",
    revoked_at=1_799_000_000.0, reason="keyCompromise",
)  # fmt: skip
_FAILURE = Failure(Fault.UNREACHABLE, "connection refused", "http://ocsp.example/", 1_800_000_060.0, 1_800_000_090.0)
_FAILED = {"ocsp_fault": "unreachable", "ocsp_detail": "connection refused", "retry_at": "2027-01-15T08:01:30Z"}
_SAID = {
    "source": "http://ocsp.example/", "responder": "CN=Responder", "ocsp_status": "revoked",
    "this_update": "2027-01-15T08:00:00Z", "age": 90, "fetched_at": "2027-01-15T08:00:30Z", "depth": 1,
    "revoked_at": "2027-01-03T18:13:20Z", "revocation_reason": "keyCompromise",
}  # fmt: skip


@pytest.mark.parametrize(
    ("evidence", "shown"),
    [
        (of_answer(_ANSWER, None, 1), _SAID),
        (of_answer(_ANSWER, _FAILURE, 1), _SAID | _FAILED),
        (
            of_failure(_FAILURE, 0),
            {"source": "http://ocsp.example/", "ocsp_status": "unavailable", "depth": 0} | _FAILED,
        ),
        (
            OcspEvidence(0, "", fault=Fault.NO_RESPONDER, detail="none"),
            {"ocsp_status": "unavailable", "depth": 0, "ocsp_fault": "no-responder", "ocsp_detail": "none"},
        ),
    ],
)
def test_an_ocsp_answer_is_shown_with_its_age_and_its_absence_with_its_cause(
    evidence: OcspEvidence, shown: dict[str, object]
) -> None:
    """What there is none of is left out; without evidence there is no field."""
    assert revocation_fields([evidence], 1_800_000_090.0) == [shown]
    assert revocation_fields([], 0.0) is None
