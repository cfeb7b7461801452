"""NIST PKITS: the cases whose answer depends on CRLs, through the function that judges live connections."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import cryptography_vectors
import pytest

from proxy.decide.facts import Certificate, read_certificate
from proxy.decide.peer.chain import Bundle, peer_of
from proxy.decide.peer.crl.facts import Crl, MalformedCrlError, read_crl
from proxy.decide.peer.crl.settings import Revocation
from proxy.decide.peer.crl.store import CrlStore
from proxy.decide.peer.depth import Check
from proxy.decide.peer.gate import Gate, judge
from proxy.decide.verdict import Admitted, Reason, Refused

VECTORS: Final = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
CASES: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[3] / "data" / "pkits_crl.json").read_text()
)
NOW: Final = 1_656_633_600.0
"""1 July 2022: the certificates and most CRLs of the suite are valid from 2010 to 2030."""

UNUSABLE: Final = frozenset({"UnknownCRLEntryExtensionCACRL.crl", "UnknownCRLExtensionCACRL.crl"})
"""CRLs with critical extensions that nobody knows."""


@cache
def certificate(name: str) -> Certificate:
    """Read a certificate of the suite."""
    return read_certificate((VECTORS / "certs" / name).read_bytes())


@cache
def crl(name: str) -> Crl:
    """Read a CRL of the suite."""
    return read_crl((VECTORS / "crls" / name).read_bytes(), name)


def verdict(case: dict[str, Any], check: Check = Check.CHAIN) -> Admitted | Refused:
    """Judge a case; what cannot be read is left out, as a running proxy would have refused to load it."""
    names = [name for name in ("TrustAnchorRootCRL.crl", *case["crls"]) if name not in UNUSABLE]
    revocation = Revocation(check, CrlStore(map(crl, names)))
    bundle = Bundle("pkits", (certificate("TrustAnchorRootCertificate.crt"),), revocation=revocation)
    return judge(peer_of(map(certificate, case["certificates"])), Gate(bundle), NOW)


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")  # two cases are about just that
@pytest.mark.parametrize("case", CASES, ids=[f"{case['id']}-{case['name']}" for case in CASES])
def test_a_case_has_the_answer_that_nist_gives(case: dict[str, Any]) -> None:
    """No false accept and no false refusal."""
    assert isinstance(verdict(case), Admitted) is case["admitted"]


def test_the_table_has_the_three_sections_about_crls_whole() -> None:
    """4.4, 4.14 and 4.15; with the cases elsewhere whose answer depends on a CRL."""
    sections = {"404": 21, "414": 35, "415": 10}
    found = {section: sum(case["id"].startswith(section) for case in CASES) for section in sections}
    assert found == sections


def test_without_revocation_some_of_them_would_be_admitted() -> None:
    """The answers above come from the CRLs."""
    wrong = [case["id"] for case in CASES if isinstance(verdict(case, Check.NONE), Admitted) is not case["admitted"]]
    assert len(wrong) > 40


def test_the_refusals_name_their_cause() -> None:
    """Revoked, out of date and missing are told apart."""
    told = {case["id"]: found.reason for case in CASES if isinstance(found := verdict(case), Refused)}
    assert told["40402"] == told["40403"] == Reason.REVOKED
    assert told["40411"] == told["40412"] == Reason.CRL_STALE
    assert told["40401"] == told["40404"] == Reason.CRL_MISSING


@pytest.mark.parametrize("name", sorted(UNUSABLE))
def test_a_crl_with_an_unknown_critical_extension_is_not_read(name: str) -> None:
    """RFC 5280, section 5.2: it must not be used to tell the status of certificates."""
    with pytest.raises(MalformedCrlError, match="critical extension"):
        crl(name)
