"""Wanted: a verified certificate's distribution points are followed where that is allowed, and waited for once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from cryptography import x509

from proxy.decide.peer.answers import Failure, Fault
from proxy.decide.peer.chain import Bundle, peer_of
from proxy.decide.peer.crl.facts import Crl
from proxy.decide.peer.crl.settings import Revocation
from proxy.decide.peer.crl.status import check_revocation
from proxy.decide.peer.crl.store import CrlStore
from proxy.decide.peer.crl.wanted import IN_USE, MAX_POINTS
from proxy.decide.peer.depth import Check
from proxy.decide.peer.hosts import Hosts, parse_host
from proxy.decide.peer.needs import CrlNeed
from proxy.decide.peer.standing import Good, Standing, Waiting
from proxy.decide.verdict import Reason, Refused
from tests.support.certificates import DAY, NOW, Issued, make_ca, make_leaf
from tests.support.crls import at, crl_of, points

CA: Final = make_ca()
URL: Final = "http://pki.example/ca.crl"
HOSTS: Final = Hosts((parse_host("pki.example"), parse_host("*.crl.example")))


def client(*urls: str, **options: Any) -> Issued:
    """Make a client whose certificate has a distribution point for each address."""
    return make_leaf(CA, extensions=[points(*map(at, urls))], **options)


def crl(source: str = URL, **options: Any) -> Crl:
    """Make a CRL that came from an address."""
    return replace(crl_of(CA, **options), source=source)


def standing(leaf: Issued, *crls: Crl, hosts: Hosts | None = HOSTS, now: float = NOW, **options: Any) -> Standing:
    """Judge a client."""
    revocation = options.pop("revocation", None) or Revocation(Check.LEAF, CrlStore(crls), cdp=hosts, **options)
    bundle = Bundle("cdn", (CA.certificate,), revocation=revocation)
    return check_revocation(peer_of((leaf.certificate,)), (leaf.certificate, CA.certificate), bundle, revocation, now)


def need(leaf: Issued, *urls: str) -> CrlNeed:
    """Make what is to be fetched for a client."""
    return CrlNeed("cdn", urls, leaf.certificate.fingerprint, 0, (CA.certificate.der,))


def test_what_is_not_there_is_waited_for() -> None:
    """With the verified chain, by which it can be verified; and with what follows if it does not come."""
    leaf = client(URL)
    found = standing(leaf)
    assert isinstance(found, Waiting)
    assert found.needs == (need(leaf, URL),)
    assert found.needs[0].issuers == (CA.certificate.der,)
    assert isinstance(found.otherwise, Refused)
    assert found.otherwise.reason is Reason.CRL_MISSING


def test_what_is_out_of_date_and_from_elsewhere_is_waited_for() -> None:
    """A file may be late, and the address not."""
    leaf = client(URL)
    found = standing(leaf, crl("ca.crl", this_update=NOW - 9 * DAY, next_update=NOW - DAY))
    assert isinstance(found, Waiting)
    assert isinstance(found.otherwise, Refused)
    assert found.otherwise.reason is Reason.CRL_STALE


def test_with_when_missing_allow_it_is_waited_for_too() -> None:
    """A revocation may be in it."""
    found = standing(client(URL), allow_missing=True)
    assert isinstance(found, Waiting)
    assert isinstance(found.otherwise, Good)


def test_a_revocation_waits_for_nothing() -> None:
    """Another CRL lists the certificate."""
    leaf = client(URL, serial=7)
    found = standing(leaf, crl("ca.crl", listed={7: 1}))
    assert isinstance(found, Refused)
    assert found.reason is Reason.REVOKED


@pytest.mark.parametrize("hosts", [None, Hosts(), Hosts((parse_host("other.example"),))])
def test_nobody_else_is_asked(hosts: Hosts | None) -> None:
    """The refusal says whom the certificate names, where certificates have a say at all."""
    found = standing(client(URL), hosts=hosts)
    assert isinstance(found, Refused)
    assert ("host-not-allowed" in found.detail) == (hosts is not None)


@pytest.mark.parametrize("url", ["ldap://pki.example/cn=CA", "ftp://pki.example/x", "http://u@pki.example/x", "x"])
def test_what_is_no_address_of_the_web_is_passed_over(url: str) -> None:
    """LDAP beside HTTP is common."""
    leaf = client(url)
    assert isinstance(standing(leaf), Refused)


def test_the_addresses_of_a_point_are_alternatives_and_points_are_not() -> None:
    """Each point may be for other reasons; there is a limit to both."""
    names = [x509.UniformResourceIdentifier(url) for url in ("ldap://x/", URL, "http://a.crl.example/ca.crl")]
    one = x509.DistributionPoint(names, None, None, None)
    leaf = make_leaf(CA, extensions=[points(one, at("http://b.crl.example/2"), at("http://b.other.example/"))])
    found = standing(leaf)
    assert isinstance(found, Waiting)
    assert [need.urls for need in found.needs] == [(URL, "http://a.crl.example/ca.crl"), ("http://b.crl.example/2",)]
    many = standing(client(*(f"http://a.crl.example/{number}" for number in range(2 * MAX_POINTS))))
    assert isinstance(many, Waiting)
    assert len(many.needs) == MAX_POINTS


def test_what_is_there_and_does_not_help_is_not_waited_for_again() -> None:
    """It is refreshed in its time; no client can make us ask more often."""
    old = crl(this_update=NOW - 9 * DAY, next_update=NOW - DAY)
    found = standing(client(URL), old)
    assert isinstance(found, Refused)
    assert found.reason is Reason.CRL_STALE
    other = replace(crl_of(make_ca("Other")), source=URL)
    assert isinstance(standing(client(URL), other), Refused)


def test_a_failure_is_told_until_it_is_worth_another_try() -> None:
    """The verdict ends then."""
    leaf = client(URL)
    revocation = Revocation(Check.LEAF, CrlStore(), cdp=HOSTS)
    failure = Failure(Fault.TIMED_OUT, "no whole answer within 5 s", URL, NOW - 5, NOW + 10)
    revocation.answers.put(need(leaf, URL).key, failure)
    found = standing(leaf, revocation=revocation)
    assert isinstance(found, Refused)
    assert (found.reason, found.until) == (Reason.CRL_MISSING, NOW + 10)
    assert f"{URL}: timed-out: no whole answer within 5 s" in found.detail
    assert isinstance(standing(leaf, revocation=revocation, now=NOW + 10), Waiting)


def test_a_crl_that_was_fetched_for_such_a_client_is_said_to_be_in_use() -> None:
    """From time to time, so that the others can be forgotten."""
    leaf = client(URL)
    found = standing(leaf, crl(next_update=NOW + DAY))
    assert isinstance(found, Good)
    assert (found.refresh, found.until) == ((need(leaf, URL),), NOW + IN_USE)


def test_all_that_a_chain_needs_is_asked_for_at_once() -> None:
    """A client waits once, not once for each of its issuers."""
    issuing = make_ca("Issuing", CA, extensions=[points(at("http://a.crl.example/ca"))])
    leaf = make_leaf(issuing, extensions=[points(at(URL))])
    revocation = Revocation(Check.CHAIN, CrlStore(), cdp=HOSTS)
    bundle = Bundle("cdn", (CA.certificate,), revocation=revocation)
    chain = (leaf.certificate, issuing.certificate, CA.certificate)
    found = check_revocation(peer_of(chain), chain, bundle, revocation, NOW)
    assert isinstance(found, Waiting)
    assert [(need.urls, need.depth) for need in found.needs] == [((URL,), 0), (("http://a.crl.example/ca",), 1)]
