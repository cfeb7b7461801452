"""The handshake's judge: hosts by name, chains by their verdicts, and a reason for whatever went wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.accept.handshake import MAX_SPARE, REASON_BY_TLS_ERROR, X509_ERROR_BY_REASON, Handshake
from proxy.accept.peers import Facts
from proxy.accept.tls import LIBRARY_SSL, TlsError
from proxy.decide.peer.chain import Bundle
from proxy.decide.peer.gate import Gate
from proxy.decide.peer.policy.san_dns import SanDns
from proxy.decide.peer.verdicts import Verdicts
from proxy.decide.peer.x509_errors import REASON_BY_X509_ERROR
from proxy.decide.request.route import ClientCertificate, Host, HostTable, Route
from proxy.decide.verdict import Reason, Refused
from proxy.snapshot.tls import HostContext
from tests.support.certificates import DAY, NOW, Issued, make_ca, make_leaf
from tests.support.memory import CONTEXT
from tests.support.shown import digests_of, kept_by

ROOT, OTHER = make_ca("Root"), make_ca("Other")
LEAF = make_leaf(ROOT, "edge", dns=["edge.example"])


def gate(anchor: Issued, name: str = "edge.example") -> Gate:
    """Make a gate for one name of one authority."""
    return Gate(Bundle(anchor.certificate.subject, (anchor.certificate,)), (SanDns.from_setting([name]),))


def route(path: str, of: Gate | None, asks: ClientCertificate = ClientCertificate.REQUIRED) -> Route:
    """Make a route."""
    return Route(path, asks if of else ClientCertificate.NONE, of, "app")


STRICT = Host(("strict.example",), (route("/", gate(ROOT)),))
MIXED = Host(("mixed.example",), (route("/", gate(ROOT)), route("/public/", None)))
PUBLIC = Host(("public.example",), (route("/", None),))
TWO = Host(("two.example",), (route("/a/", gate(OTHER)), route("/b/", gate(ROOT, "another.example"))))
HOSTS = (STRICT, MIXED, PUBLIC, TWO)


CONTEXTS = dict.fromkeys(HOSTS, HostContext(lambda _now: CONTEXT))


def begin(*hosts: Host, now: float = NOW) -> Handshake:
    """Begin a handshake with these hosts, or all."""
    table = HostTable(hosts or HOSTS)
    contexts = dict.fromkeys(table.hosts, HostContext(lambda _now: CONTEXT))
    return Handshake(table, contexts, Verdicts(10), Facts(), lambda: now)


def show(handshake: Handshake, *chain: Issued) -> int:
    """Show certificates; return the X509 error."""
    digests = [bytes.fromhex(issued.certificate.fingerprint) for issued in chain]
    return handshake.judge(digests, lambda index: chain[index].certificate.der)


@pytest.mark.parametrize(
    ("sni", "host", "asks", "insists"),
    [
        (b"strict.example", STRICT, True, True),
        (b"STRICT.example.", STRICT, True, True),
        (b"mixed.example", MIXED, True, False),
        (b"public.example", PUBLIC, False, False),
        (b"two.example", TWO, True, True),
    ],
)
def test_a_name_chooses_a_host_and_what_it_asks_for(sni: bytes, host: Host, asks: bool, insists: bool) -> None:
    """All routes, some or none of them want a certificate."""
    handshake = begin()
    assert handshake.choose(sni) == (CONTEXT, asks, insists)
    assert handshake.host is host
    assert handshake.shown_sni == sni.decode()


@pytest.mark.parametrize(
    "sni",
    [
        None, b"nobody.example", b"", b"\xff\xfe", b"a" * 300, b"strict.example\n", b"a b", b"strict.example:443",
        b"strict.example:",
    ],
)  # fmt: skip
def test_a_name_of_no_host_is_refused_or_goes_to_the_default(sni: bytes | None) -> None:
    """Also one that is no host name at all."""
    handshake = begin()
    assert handshake.choose(sni) is None
    assert handshake.refusal is not None
    assert handshake.refusal.reason is Reason.UNKNOWN_HOST
    assert handshake.refusal.detail.isprintable()
    default = replace(PUBLIC, is_default=True)
    open_house = begin(STRICT, default)
    assert open_house.choose(sni) == (CONTEXT, False, False)
    assert open_house.host is default


def test_a_chain_that_a_route_admits_makes_the_peer() -> None:
    """The leaf is kept for the log and the whole chain for the routes."""
    handshake = begin()
    handshake.choose(b"strict.example")
    assert show(handshake, LEAF, ROOT) == 0
    assert handshake.refusal is None
    assert handshake.leaf is not None
    assert handshake.leaf.der == LEAF.certificate.der
    assert handshake.peer is not None
    assert [c.der for c in handshake.peer.intermediates] == [ROOT.certificate.der]


def test_a_refusal_by_policy_keeps_the_leaf_for_the_log_and_makes_no_peer() -> None:
    """Where the bundle of another route does not know the chain at all, the policy's refusal says more."""
    handshake = begin()
    handshake.choose(b"two.example")
    assert show(handshake, LEAF, ROOT) == 28
    assert handshake.peer is None
    assert handshake.leaf is not None
    assert handshake.refusal is not None
    assert handshake.refusal.reason is Reason.NAME_NOT_ALLOWED


@pytest.mark.parametrize(
    ("now", "error", "reason"),
    [(NOW + 11 * DAY, 10, Reason.EXPIRED), (NOW - 11 * DAY, 9, Reason.NOT_YET_VALID)],
)
def test_the_refusals_alert_is_the_precise_one(now: float, error: int, reason: Reason) -> None:
    """The judges' own refusals have the X509 errors that OpenSSL would have had."""
    handshake = begin(now=now)
    handshake.choose(b"strict.example")
    assert show(handshake, LEAF, ROOT) == error
    assert handshake.refusal is not None
    assert handshake.refusal.reason is reason


def test_the_alerts_agree_with_openssls_own() -> None:
    """Reason to X509 error and back is the same reason."""
    assert {reason: REASON_BY_X509_ERROR[error] for reason, error in X509_ERROR_BY_REASON.items()} == {
        reason: reason for reason in X509_ERROR_BY_REASON
    }


def test_a_certificate_that_cannot_be_read_is_refused_by_its_fingerprint() -> None:
    """Who it says it is nobody can tell."""
    handshake = begin()
    handshake.choose(b"strict.example")
    assert handshake.judge([b"\1" * 32], lambda _index: b"\x30\x00") == 28
    assert handshake.refusal is not None
    assert handshake.refusal.reason is Reason.MALFORMED_CERTIFICATE
    assert "01" * 32 in handshake.refusal.detail
    assert (handshake.peer, handshake.leaf) == (None, None)


def test_a_stranger_is_kept_for_the_log_and_nowhere_else() -> None:
    """Anybody can make up certificates: they must not push out of memory those of authorities of ours."""
    facts, verdicts = Facts(), Verdicts(10)
    handshake = Handshake(HostTable(HOSTS), CONTEXTS, verdicts, facts, lambda: NOW)
    handshake.choose(b"two.example")
    stranger = make_leaf(make_ca("Unknown"), "mallory", dns=["another.example"])
    assert show(handshake, stranger, OTHER) == 20
    assert handshake.refusal is not None
    assert handshake.refusal.reason is Reason.UNTRUSTED_ISSUER
    assert handshake.leaf is not None
    assert handshake.leaf.subject == "CN=mallory"
    assert (len(verdicts), kept_by(facts)) == (0, set())


def test_who_is_refused_by_policy_alone_is_known_the_next_time() -> None:
    """An authority of ours made that certificate, and there are only so many of those."""
    facts, verdicts = Facts(), Verdicts(10)
    for _ in range(2):
        handshake = Handshake(HostTable(HOSTS), CONTEXTS, verdicts, facts, lambda: NOW)
        handshake.choose(b"two.example")
        assert show(handshake, LEAF, ROOT) == 28
        known = facts.known(digests_of(LEAF, ROOT))
        assert known is not None
        assert handshake.leaf is known.leaf
    assert len(verdicts) == 2


def test_what_is_shown_in_vain_is_kept_of_who_proves_the_key_only() -> None:
    """Whoever has seen a certificate can show it, beside others that are new each time."""
    facts, verdicts = Facts(), Verdicts(10)
    for number in range(3):
        handshake = Handshake(HostTable(HOSTS), CONTEXTS, verdicts, facts, lambda: NOW)
        handshake.choose(b"strict.example")
        spare = [make_ca(f"made up {number}-{index}") for index in range(number)]
        shown = (LEAF, ROOT, *spare)
        assert show(handshake, *shown) == 0
        assert kept_by(facts).isdisjoint(f"CN=made up {number}-{index}" for index in range(number))
        handshake.complete()
    assert facts.known(digests_of(*shown)) is handshake.peer
    assert len(verdicts) == 1


def test_a_certificate_that_is_shown_twice_is_no_other_peer() -> None:
    """There are as many ways to repeat certificates as a stranger likes."""
    facts = Facts()
    handshake = Handshake(HostTable(HOSTS), CONTEXTS, Verdicts(10), facts, lambda: NOW)
    handshake.choose(b"strict.example")
    assert show(handshake, LEAF, ROOT, ROOT) == 0
    assert kept_by(facts) == set()


def test_of_who_shows_much_in_vain_only_what_was_verified_is_kept() -> None:
    """The connection does not hold it either, whoever it is."""
    facts = Facts()
    handshake = Handshake(HostTable(HOSTS), CONTEXTS, Verdicts(10), facts, lambda: NOW)
    handshake.choose(b"strict.example")
    assert show(handshake, LEAF, ROOT, *[make_ca(f"made up {index}") for index in range(MAX_SPARE + 1)]) == 0
    handshake.complete()
    assert handshake.peer is not None
    assert [cert.subject for cert in handshake.peer.intermediates] == ["CN=Root"]
    assert kept_by(facts) == set()


def test_a_fault_of_ours_is_a_refusal_that_says_so() -> None:
    """Whatever was raised, with its type."""
    handshake = begin()
    handshake.failed(KeyError("x"))
    refusal = handshake.refusal_of(TlsError(LIBRARY_SSL, 234, "callback failed"))
    assert refusal == Refused(Reason.INTERNAL_ERROR, "KeyError: 'x'")


ERRORS = [
    *((LIBRARY_SSL, number, reason, f"(TLS error {number})") for number, reason in REASON_BY_TLS_ERROR.items()),
    (LIBRARY_SSL, 244, Reason.BAD_HANDSHAKE, "(TLS error 244)"),
    (LIBRARY_SSL, 1048, Reason.CLIENT_ABORTED, "refuses this server's certificate (alert unknown_ca)"),
    (LIBRARY_SSL, 1046, Reason.CLIENT_ABORTED, "refuses this server's certificate (alert certificate_unknown)"),
    (LIBRARY_SSL, 1040, Reason.CLIENT_ABORTED, "the client gave up: words (alert 40)"),
    (0, 0, Reason.CLIENT_ABORTED, "words"),
    (13, 199, Reason.MALFORMED_CERTIFICATE, "the certificate message cannot be read: words"),
    (11, 193, Reason.MALFORMED_CERTIFICATE, "the certificate message cannot be read: words"),
]


@pytest.mark.parametrize(("library", "number", "reason", "detail"), ERRORS)
def test_each_error_of_tls_has_its_reason(library: int, number: int, reason: Reason, detail: str) -> None:
    """Numbers mean what they mean in their own library only."""
    refusal = begin().refusal_of(TlsError(library, number, "words"))
    assert refusal.reason is reason
    assert detail in refusal.detail


@pytest.mark.parametrize("number", [199, 235, 258, 1048])
def test_the_numbers_of_other_libraries_name_nothing(number: int) -> None:
    """A provider's error 199 is not the absence of a certificate."""
    assert begin().refusal_of(TlsError(57, number, "words")).reason is Reason.BAD_HANDSHAKE
