"""NIST's PKITS, held against the judge of chains: path validation only (RFC 5280, section 6.1).

The certificates are those of cryptography-vectors. The table has every case whose answer needs neither a CRL nor
initial policy settings, which a proxy does not offer: sections 4.4, 4.14 and 4.15 are about revocation altogether and
are left out, and so are 4.5.2, 4.5.5, 4.5.7, 4.7.4 and 4.7.5, whose paths are valid and whose answer is in a CRL.

``refused`` is why the suite calls a path invalid. ``beyond`` is why we refuse one that it calls valid: DSA is weak. No
path of the table is too long for us, and all its leaves may sign.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import cryptography_vectors
import pytest

from proxy.decide.facts import Certificate, MalformedCertificateError, read_certificate
from proxy.decide.peer.chain import Bundle, build_path, peer_of, verify
from proxy.decide.verdict import Reason, Refused

NOW = datetime(2022, 6, 1, tzinfo=UTC).timestamp()
"""Within the suite's validity, from 2010 to 2030."""

TABLE = Path(__file__).parents[2] / "data" / "pkits.json"
FOLDER = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data" / "certs"


@dataclass(frozen=True)
class Beyond:
    """Our own refusal of a valid path, and its cause."""

    refused: Reason
    because: str


@dataclass(frozen=True)
class Case:
    """A path, leaf first and without its anchor, and the reason for which it is refused, None for a valid one."""

    id: str
    name: str
    path: tuple[str, ...]
    refused: Reason | None
    beyond: Beyond | None


def _case(
    id: str, name: str, path: list[str], refused: str | None = None, beyond: dict[str, str] | None = None,  # noqa: A002 - the table's word
) -> Case:  # fmt: skip
    ours = None if beyond is None else Beyond(Reason(beyond["refused"]), beyond["because"])
    return Case(id, name, tuple(path), None if refused is None else Reason(refused), ours)


CASES = [_case(**row) for row in json.loads(TABLE.read_text())]
VALID = [case for case in CASES if case.refused is None]


@cache
def _certificate(name: str) -> Certificate:
    return read_certificate((FOLDER / f"{name}.crt").read_bytes())


@cache
def _bundle() -> Bundle:
    return Bundle("pkits", (_certificate("TrustAnchorRootCertificate"),))


@pytest.mark.parametrize("case", CASES, ids=[f"{case.id} {case.name}" for case in CASES])
def test_the_verdict_is_that_of_the_suite(case: Case) -> None:
    """The reason of each refusal is the one that the suite names; what we refuse beyond it is in the table."""
    expected = case.refused or (case.beyond and case.beyond.refused)
    assert _verdict(case) == expected


def _verdict(case: Case) -> Reason | None:
    try:
        chain = verify(peer_of(map(_certificate, case.path)), _bundle(), NOW)
    except MalformedCertificateError:
        return Reason.MALFORMED_CERTIFICATE
    return chain.reason if isinstance(chain, Refused) else None


READABLE = [case for case in CASES if not case.beyond or case.beyond.refused is not Reason.MALFORMED_CERTIFICATE]


@pytest.mark.parametrize("case", READABLE, ids=[f"{case.id} {case.name}" for case in READABLE])
def test_the_path_is_built_as_the_suite_says(case: Case) -> None:
    """Without what we ask beyond the RFC, every valid path is found from the leaf to the anchor, and no other one."""
    path = build_path(peer_of(map(_certificate, case.path)), _bundle(), NOW)
    if isinstance(path, Refused):
        assert path.reason is case.refused
    else:
        assert case.refused is None
        assert (path[0], path[-1]) == (_certificate(case.path[0]), _bundle().anchors[0])
        assert {cert.subject for cert in path[1:-1]} <= {_certificate(name).subject for name in case.path[1:]}


def test_the_table_is_whole() -> None:
    """As many cases as there are in each section, and two refusals of ours, both of DSA."""
    sections = Counter(f"4.{int(case.id[1:3])}" for case in CASES)
    assert sections == {
        "4.1": 6, "4.2": 8, "4.3": 11, "4.5": 5, "4.6": 17, "4.7": 3, "4.8": 14, "4.9": 8, "4.10": 9, "4.11": 11,
        "4.12": 10, "4.13": 38, "4.16": 2,
    }  # fmt: skip
    assert len({case.id for case in CASES}) == len(CASES) == 142
    assert len(VALID) == 67
    assert [(case.id, case.beyond.refused) for case in CASES if case.beyond] == [
        ("40104", Reason.WEAK_KEY), ("40105", Reason.MALFORMED_CERTIFICATE),
    ]  # fmt: skip
    assert all(case.beyond.because.startswith("DSA") for case in VALID if case.beyond)
