"""Responses: what counts as an answer, and by which name everything else is refused."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponderEncoding, OCSPResponseBuilder
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.decide.facts import read_certificate
from proxy.decide.peer.answers import Answer, Fault, Status, Unusable
from proxy.decide.peer.needs import Nonce
from proxy.decide.peer.ocsp.request import build_request
from proxy.decide.peer.ocsp.response import ends_at, read_answer
from proxy.decide.peer.ocsp.settings import SKEW, UNDATED
from proxy.operate.demo.pki import Authority, Leaf
from tests.support.certificates import DAY, NOW, make_ca, make_leaf
from tests.support.ocsp import (
    GOOD,
    HOUR,
    REVOKED,
    UNKNOWN,
    URL,
    Single,
    make_delegate,
    need_for,
    other,
    respond,
    tlv,
    unsuccessful,
)

CA, ROGUE = make_ca("Issuing CA"), make_ca("Issuing CA")
LEAF, SIBLING = make_leaf(CA), make_leaf(CA, "sibling")
DELEGATE = make_delegate(CA)
NEED = need_for(CA, LEAF)
OURS: Final = Single(CA, LEAF)
NONCE: Final = bytes(range(32))
STRANGE: Final = "06022a03"
"""The object identifier 1.2.3."""


def read(der: bytes, *, nonce: bytes | None = None, need: Any = NEED, now: float = NOW) -> Answer | Unusable:
    """Read a response to the question about the leaf."""
    return read_answer(der, need, nonce, URL, now)


def status_of(der: bytes, **options: Any) -> Status:
    """Return what a good response says."""
    answer = read(der, **options)
    assert isinstance(answer, Answer), answer
    return answer.status


def fault_of(der: bytes, **options: Any) -> Unusable:
    """Return what is wrong with a bad one."""
    fault = read(der, **options)
    assert isinstance(fault, Unusable), fault
    return fault


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("signer", [None, DELEGATE])
@pytest.mark.parametrize("status", [GOOD, REVOKED, UNKNOWN])
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
def test_an_answer_by_the_ca_or_its_delegate_counts(status: str, digest: str, signer: Any, *, by_name: bool) -> None:
    """Whatever hash the certID has, and however the responder names itself."""
    assert status_of(respond(other(OURS, status=status, digest=digest), signer=signer, by_name=by_name)) == status


def test_an_answer_says_what_the_response_said() -> None:
    """Dates, reason, source and signer."""
    answer = read(respond(other(OURS, status=REVOKED), signer=DELEGATE))
    assert answer == Answer(
        Status.REVOKED, NOW - HOUR, NOW + DAY, NOW - HOUR, NOW, URL, "CN=OCSP responder", NOW - 2 * DAY,
        "keyCompromise", signer_ends=DELEGATE.certificate.not_after,
    )  # fmt: skip


def test_a_revocation_without_a_reason_is_one() -> None:
    """RFC 6960, section 4.2.1: the reason is optional."""
    answer = read(respond(other(OURS, status=REVOKED, reason=None)))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.reason) == (Status.REVOKED, "unspecified")


STRONG: Final = (
    rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate(),
)  # fmt: skip


@pytest.mark.parametrize("key", STRONG)
def test_every_strong_key_may_sign(key: Any) -> None:
    """RSA, Ed25519 and Ed448, beside ECDSA."""
    assert status_of(respond(OURS, signer=make_delegate(CA, key=key))) is Status.GOOD


def test_rsa_may_sign_with_pss() -> None:
    """With the parameters that CAs use; what stands for SHA-1 is not among them."""
    by_rsa = make_delegate(CA, key=STRONG[0])
    assert status_of(respond(OURS, signer=by_rsa, digest="pss")) is Status.GOOD
    found = fault_of(respond(OURS, signer=by_rsa, digest="pss of SHA-1"))
    assert (found.fault, "RSASSA-PSS" in found.detail) == (Fault.BAD_SIGNATURE, True)
    changed = respond(other(OURS, status=UNKNOWN), signer=by_rsa, digest="pss")
    assert fault_of(changed.replace(b"\x82\x00\x18", b"\x80\x00\x18")).fault is Fault.BAD_SIGNATURE


def test_a_longer_hash_may_sign() -> None:
    """SHA-384."""
    assert status_of(respond(OURS, digest="sha384")) is Status.GOOD


def test_a_response_of_cryptographys_builder_is_read() -> None:
    """Somebody else's encoder."""
    now = datetime.now(UTC)
    ca = make_ca("CA", not_before=0.0)
    leaf = make_leaf(ca)
    single = OCSPResponseBuilder().add_response(
        leaf.certificate.x509, ca.certificate.x509, hashes.SHA256(), OCSPCertStatus.GOOD, now, now + timedelta(days=1),
        None, None,
    )  # fmt: skip
    named = single.responder_id(OCSPResponderEncoding.NAME, ca.certificate.x509)
    assert isinstance(ca.key, ec.EllipticCurvePrivateKey)
    der = named.add_extension(x509.OCSPNonce(NONCE), critical=False).sign(ca.key, hashes.SHA256())
    octets = der.public_bytes(Encoding.DER)
    assert status_of(octets, need=need_for(ca, leaf), nonce=NONCE, now=now.timestamp() + 1) is Status.GOOD


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("nonce", [NONCE, None])
def test_a_response_of_openssls_responder_is_read(tmp_path: Path, nonce: bytes | None, *, listed: bool) -> None:
    """Made for a request of ours, by a delegate, from the index of ``openssl ca``."""
    ca = Authority.root("CA")
    leaf = ca.issue(Leaf(subject="client"))
    ca.write(tmp_path / "ca.pem")
    ca.issue(Leaf(subject="responder", eku=(ExtendedKeyUsageOID.OCSP_SIGNING,))).write(tmp_path)
    certificate = read_certificate(leaf.certificate.public_bytes(Encoding.DER))
    issuer = read_certificate(ca.certificate.public_bytes(Encoding.DER))
    need = replace(NEED, certificate=certificate.der, issuer=issuer.der, fingerprint=certificate.fingerprint)
    (tmp_path / "request").write_bytes(build_request(need, nonce))
    state = "R\t301231235959Z\t260101000000Z,keyCompromise" if listed else "V\t301231235959Z\t"
    (tmp_path / "index").write_text(f"{state}\t{certificate.serial:X}\tunknown\t/CN=client\n")
    openssl = shutil.which("openssl")
    assert openssl is not None
    command = "ocsp -index index -CA ca.pem -rsigner chain.pem -rkey key.pem -reqin request -respout response -ndays 1"
    subprocess.run([openssl, *command.split()], cwd=tmp_path, check=True, capture_output=True)
    found = read((tmp_path / "response").read_bytes(), need=need, nonce=nonce, now=time.time())
    assert isinstance(found, Answer), found
    assert (found.status, found.responder) == (Status.REVOKED if listed else Status.GOOD, "CN=responder")
    assert found.reason == ("keyCompromise" if listed else None)
    again = read((tmp_path / "response").read_bytes(), need=need, nonce=bytes(32), now=time.time())
    assert isinstance(again, Answer) is (nonce is None)


_NOT_CRITICAL = ((STRANGE, False),)
_CRITICAL = ((STRANGE, True),)
_LATE = NOW + SKEW + 60

FAULTS: Final[dict[str, tuple[bytes, Fault, str]]] = {
    "empty": (b"", Fault.MALFORMED, "cannot be read"),
    "a page": (b"<html>busy</html>", Fault.MALFORMED, "cannot be read"),
    "cut off": (respond(OURS)[:-20], Fault.MALFORMED, "cannot be read"),
    "octets behind it": (respond(OURS) + b"\0", Fault.MALFORMED, "cannot be read"),
    "only a status": (tlv(0x30, tlv(0x0A, b"\0")), Fault.MALFORMED, "cannot be read"),
    "malformedRequest": (unsuccessful(1), Fault.RESPONDER_ERROR, "malformedRequest"),
    "internalError": (unsuccessful(2), Fault.RESPONDER_ERROR, "internalError"),
    "tryLater": (unsuccessful(3), Fault.RESPONDER_ERROR, "tryLater"),
    "sigRequired": (unsuccessful(5), Fault.RESPONDER_ERROR, "sigRequired"),
    "unauthorized": (unsuccessful(6), Fault.RESPONDER_ERROR, "unauthorized"),
    "no such status": (unsuccessful(4), Fault.MALFORMED, "cannot be read"),
    "critical": (respond(OURS, extensions=_CRITICAL), Fault.UNKNOWN_EXTENSION, "1.2.3"),
    "critical inside": (respond(other(OURS, extensions=_CRITICAL)), Fault.UNKNOWN_EXTENSION, "1.2.3"),
    "critical inside of another": (
        respond(OURS, Single(CA, SIBLING, extensions=_CRITICAL)), Fault.UNKNOWN_EXTENSION, "1.2.3",
    ),
    "another certificate": (respond(Single(CA, SIBLING)), Fault.OTHER_CERTIFICATE, "serial"),
    "the serial of another CA": (
        respond(Single(make_ca("Another CA"), LEAF), signer=CA, certificates=[]), Fault.OTHER_CERTIFICATE, "serial",
    ),
    "an unknown hash": (respond(other(OURS, digest="md5")), Fault.OTHER_CERTIFICATE, "serial"),
    "another nonce": (respond(OURS, nonce=NONCE[::-1]), Fault.WRONG_NONCE, "somebody else"),
    "a namesake of the CA": (
        respond(OURS, signer=ROGUE, certificates=[ROGUE.certificate]), Fault.WRONG_SIGNER, "lacks OCSPSigning",
    ),
    "a namesake by name": (respond(OURS, signer=ROGUE, certificates=[], by_name=True), Fault.BAD_SIGNATURE, "key"),
    "in the CA's name": (respond(OURS, signer=ROGUE, certificates=[], named=CA), Fault.BAD_SIGNATURE, "key"),
    "in the delegate's name": (
        respond(OURS, signer=ROGUE, certificates=[DELEGATE.certificate], named=DELEGATE), Fault.BAD_SIGNATURE, "key",
    ),
    "without the delegate": (respond(OURS, signer=DELEGATE, certificates=[]), Fault.WRONG_SIGNER, "brings no"),
    "named by another's key": (respond(OURS, signer=DELEGATE, named=SIBLING), Fault.WRONG_SIGNER, "brings no"),
    "SHA-1": (respond(OURS, digest="sha1"), Fault.WEAK_SIGNATURE, "sha1"),
    "tampered": (
        respond(other(OURS, status=UNKNOWN)).replace(b"\x82\x00\x18", b"\x80\x00\x18"), Fault.BAD_SIGNATURE, "key",
    ),
    "of the future": (
        respond(other(OURS, this_update=_LATE), produced_at=_LATE), Fault.NOT_YET_VALID, "300 s from now",
    ),
    "made in the future": (respond(OURS, produced_at=_LATE), Fault.NOT_YET_VALID, "300 s from now"),
    "over": (
        respond(other(OURS, this_update=NOW - DAY, next_update=NOW - SKEW - 60)), Fault.STALE, "nextUpdate",
    ),
    "over without an end": (
        respond(other(OURS, this_update=NOW - UNDATED - SKEW - 60, next_update=None)), Fault.STALE, "3600 s",
    ),
    "backwards": (respond(other(OURS, next_update=NOW - 2 * HOUR)), Fault.MALFORMED, "before its thisUpdate"),
}  # fmt: skip


@pytest.mark.parametrize(("der", "fault", "detail"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_answer_has_a_name(der: bytes, fault: Fault, detail: str) -> None:
    """And words for the operator."""
    found = fault_of(der, nonce=NONCE)
    assert found.fault is fault
    assert detail in found.detail


DELEGATES: Final[dict[str, tuple[Any, str]]] = {
    "another purpose": (make_delegate(CA, eku=(ExtendedKeyUsageOID.CLIENT_AUTH,)), "lacks OCSPSigning"),
    "no purpose": (make_delegate(CA, eku=()), "lacks OCSPSigning"),
    "any purpose": (make_delegate(CA, eku=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)), "lacks OCSPSigning"),
    "no signatures": (make_delegate(CA, digital_signature=False), "lacks digitalSignature"),
    "ended": (make_delegate(CA, not_after=NOW - 1), "is valid from"),
    "not begun": (make_delegate(CA, not_before=NOW + 1), "is valid from"),
    "a small key": (make_delegate(CA, key=rsa.generate_private_key(65537, 1024)), "RSA 1024"),  # noqa: S505
    "another CA's": (make_delegate(ROGUE), "has not issued it"),
    "its parent's": (make_delegate(make_ca("Root")), "has not issued it"),
    "not directly": (make_delegate(make_ca("Below", CA)), "has not issued it"),
    "critical": (
        make_delegate(CA, extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""), True)]),
        "1.2.3",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("delegate", "detail"), DELEGATES.values(), ids=DELEGATES)
def test_who_may_not_answer_for_the_ca_does_not(delegate: Any, detail: str) -> None:
    """RFC 6960, section 4.2.2.2: OCSPSigning, and issued by the CA itself."""
    for by_name in (True, False):
        found = fault_of(respond(OURS, signer=delegate, by_name=by_name))
        assert found.fault is Fault.WRONG_SIGNER
        assert detail in found.detail


def test_a_client_does_not_answer_for_itself() -> None:
    """Its own certificate is no delegate's."""
    assert fault_of(respond(OURS, signer=LEAF)).fault is Fault.WRONG_SIGNER


@pytest.mark.parametrize(
    ("mode", "sent", "came", "fault"),
    [
        (Nonce.ASK, NONCE, NONCE, None), (Nonce.ASK, NONCE, None, None), (Nonce.REQUIRE, NONCE, NONCE, None),
        (Nonce.REQUIRE, NONCE, None, Fault.WRONG_NONCE), (Nonce.OFF, None, None, None), (Nonce.OFF, None, NONCE, None),
        (Nonce.ASK, NONCE, NONCE[:16], Fault.WRONG_NONCE), (Nonce.REQUIRE, NONCE, NONCE[::-1], Fault.WRONG_NONCE),
    ],
)  # fmt: skip
def test_a_nonce_is_ours_if_there_is_one(mode: Nonce, sent: bytes | None, came: bytes | None, fault: Fault) -> None:
    """Whether there has to be one is a setting."""
    found = read(respond(OURS, nonce=came), nonce=sent, need=need_for(CA, LEAF, mode))
    assert (found.fault if isinstance(found, Unusable) else None) is fault


def test_what_nobody_needs_to_understand_is_passed_over() -> None:
    """Extensions that are not critical, and those that change no status."""
    ours = other(OURS, extensions=(*_NOT_CRITICAL, ("06092b0601050507300106", True)))  # the archive cutoff
    assert status_of(respond(ours, extensions=_NOT_CRITICAL)) is Status.GOOD


def test_of_several_answers_ours_counts() -> None:
    """Wherever it stands."""
    revoked = other(OURS, status=REVOKED)
    assert status_of(respond(Single(CA, SIBLING), revoked)) is Status.REVOKED
    assert status_of(respond(other(Single(CA, SIBLING), status=REVOKED), OURS)) is Status.GOOD


def test_of_several_answers_about_us_the_revocation_counts_and_else_the_newest() -> None:
    """A responder that contradicts itself is believed the worse."""
    late = other(OURS, digest="sha256", this_update=NOW - 60)
    assert status_of(respond(other(OURS, status=REVOKED), late)) is Status.REVOKED
    assert status_of(respond(late, other(OURS, status=UNKNOWN))) is Status.GOOD


def test_clocks_may_differ_a_little() -> None:
    """At both ends."""
    assert status_of(respond(other(OURS, this_update=NOW + SKEW), produced_at=NOW + SKEW)) is Status.GOOD
    assert status_of(respond(other(OURS, next_update=NOW - SKEW))) is Status.GOOD


def test_an_old_revocation_is_one() -> None:
    """It never goes stale."""
    old = other(OURS, status=REVOKED, this_update=NOW - 90 * DAY, next_update=NOW - 80 * DAY)
    assert status_of(respond(old)) is Status.REVOKED


@pytest.mark.parametrize(
    ("answer", "max_age", "end"),
    [
        ({}, None, NOW + DAY + SKEW),
        ({}, HOUR, NOW + SKEW),
        ({"next_update": None}, None, NOW - HOUR + UNDATED + SKEW),
        ({"next_update": None}, 60.0, NOW - HOUR + 60 + SKEW),
        ({"signer_ends": NOW + 5}, None, NOW + 5),
        ({"status": Status.REVOKED, "signer_ends": NOW + 5}, 60.0, float("inf")),
    ],
)
def test_an_answer_ends_with_the_first_of_its_limits(answer: dict[str, Any], max_age: float | None, end: float) -> None:
    """Its own, ours, and its signer's."""
    whole = read(respond(OURS))
    assert isinstance(whole, Answer)
    assert ends_at(replace(whole, **answer), max_age) == end


def test_max_age_makes_an_answer_stale_before_its_end() -> None:
    """At arrival as later, so that what was taken is not asked for at once again."""
    found = fault_of(respond(OURS), need=need_for(CA, LEAF, max_age=60.0))
    assert found.fault is Fault.STALE
    assert "max_age 60 s" in found.detail


def test_a_delegate_without_nocheck_is_named_for_a_check_of_its_own() -> None:
    """RFC 6960, section 4.2.2.2.1."""
    delegate = make_delegate(CA, nocheck=False)
    answer = read(respond(OURS, signer=delegate))
    assert isinstance(answer, Answer)
    assert answer.delegate == delegate.certificate.der


_WHOLE = respond(other(OURS, status=REVOKED), signer=DELEGATE, nonce=NONCE)


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")  # one of the changed octets
@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(_WHOLE) - 1), st.integers(1, 255))
def test_no_single_octet_makes_another_answer(place: int, difference: int) -> None:
    """A response that was changed anywhere is a fault, or says the same."""
    changed = bytearray(_WHOLE)
    changed[place] ^= difference
    found = read(bytes(changed), nonce=NONCE)
    assert isinstance(found, Unusable) or found.status is Status.REVOKED


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_octets_raise(octets: bytes) -> None:
    """Whatever a responder sends is an answer or a fault."""
    assert isinstance(read(octets), Unusable)
