"""CRLs at URLs: a revocation arrives while traffic flows, and nothing that the server does takes the last one away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.operate.demo.pki import Authority, Credential, Leaf
from tests.support import web
from tests.support.crl_site import CrlSite, crl_site
from tests.support.crls import at, make_crl, points
from tests.support.harness import ProxyProcess, TlsClient, running
from tests.support.refusals import alert_of
from tests.support.site import ZONE
from tests.support.web import Answer


@pytest.fixture
def place(tmp_path: Path) -> Iterator[CrlSite]:
    """Write a site whose CRL is asked for every second, and keep what was fetched."""
    with crl_site(tmp_path, refresh="1s", timeout="2s") as site:
        yield site


def updated(proxy: ProxyProcess, number: int) -> None:
    """Wait until a CRL is in force."""
    line = proxy.wait_for(lambda line: line["event"] == "crl.updated" and line["crl_number"] == str(number))
    assert line["verified"] is True


def is_served(proxy: ProxyProcess, credential: Credential) -> bool:
    """Tell whether a new connection of a client is served."""
    with TlsClient(proxy.port, ZONE, credential).handshake() as client:
        return client.get("/", ZONE).status == 200


def is_revoked(proxy: ProxyProcess, credential: Credential) -> bool:
    """Tell whether a new connection of a client ends with the alert for that."""
    with TlsClient(proxy.port, ZONE, credential) as client:
        return alert_of(client) == "certificate_revoked"


def test_a_serial_in_a_refreshed_crl_is_refused_on_the_next_handshake(place: CrlSite) -> None:
    """With the alert that says why; connections of others stay, the revoked client's own is closed."""
    other = place.cdn.issue(Leaf(subject="other"))
    place.serve(1)
    with running(place.config) as proxy:
        with (
            TlsClient(proxy.port, ZONE, place.credential).handshake() as gone,
            TlsClient(proxy.port, ZONE, other).handshake() as stays,
        ):
            assert gone.get("/", ZONE).status == stays.get("/", ZONE).status == 200
            place.serve(2, place.credential)
            line = proxy.wait_for(lambda line: line["event"] == "connection.withdrawn")
            assert (line["reason"], line["revocation"][0]["source"]) == ("revoked", place.server.url())
            assert gone.read_all() == b""
            assert stays.get("/", ZONE).status == 200
        assert is_revoked(proxy, place.credential)
        assert "originward_crl_last_success_seconds{" in proxy.metrics()


def test_a_failing_server_changes_nothing_for_anybody(place: CrlSite) -> None:
    """Old, forged, broken, none: the revoked client stays out, the others in; the log says what came."""
    other, forger = place.cdn.issue(Leaf(subject="other")), Authority.root("CDN CA")
    place.serve(5, place.credential)
    forged = make_crl(forger, number=9, this_update=time.time() - 60)
    worse = {
        "replayed": web.body(make_crl(place.cdn, number=4, this_update=time.time() - 3600)),
        "wrong-signer": web.body(forged),
        "malformed": web.body(b"<html>"),
        "http-status": web.status(500),
        "too-large": web.cut(b"", 1 << 30),
    }
    with running(place.config) as proxy:
        for fault, answer in worse.items():
            place.server.answers["/ca.crl"] = answer
            line = proxy.wait_for(lambda line, fault=fault: line.get("fault") == fault)  # type: ignore[misc]
            assert line["event"] in {"crl.refused", "crl.failed"}
            assert is_served(proxy, other)
            assert is_revoked(proxy, place.credential)
        place.server.close()
        proxy.wait_for(lambda line: line.get("fault") == "unreachable")
        assert is_served(proxy, other)
        assert is_revoked(proxy, place.credential)


def test_a_restart_without_network_knows_who_was_revoked(place: CrlSite) -> None:
    """What was fetched is kept; and an older CRL is refused when the network is back."""
    other = place.cdn.issue(Leaf(subject="other"))
    place.serve(5, place.credential)
    with running(place.config) as proxy:
        assert is_revoked(proxy, place.credential)
    place.server.close()
    with running(place.config) as proxy:
        assert proxy.wait_for(lambda line: line["event"] == "crl.restored")["crl_number"] == "5"
        assert is_served(proxy, other)
        assert is_revoked(proxy, place.credential)
        place.serve(4)
        place.server.restart()
        assert proxy.wait_for(lambda line: line["event"] == "crl.refused")["fault"] == "replayed"
        assert is_revoked(proxy, place.credential)


def test_without_any_crl_nobody_is_admitted_until_there_is_one(place: CrlSite) -> None:
    """The start does not wait for ever, and does not fail open."""
    place.server.answers["/ca.crl"] = web.status(503)
    with running(place.config) as proxy:
        with TlsClient(proxy.port, ZONE, place.credential) as client:
            assert alert_of(client) == "bad_certificate"
        assert proxy.reason("handshake.refused") == "crl-missing"
        place.serve(1)
        updated(proxy, 1)
        assert is_served(proxy, place.credential)


def test_a_reload_keeps_what_was_fetched(place: CrlSite) -> None:
    """And one that names an address from which nothing comes is refused."""
    place.serve(5, place.credential)
    with running(place.config) as proxy:
        text = place.config.read_text()
        place.config.write_text(text.replace("/ca.crl", "/none.crl"))
        line = proxy.wait_for(lambda line: line["event"] == "reload.failed")
        assert "/none.crl cannot be had, and none was kept: http-status" in line["problems"][0]
        place.config.write_text(text + "\nlimits: {connections: 100}\n")
        proxy.wait_for(lambda line: line["event"] == "reload.done")
        assert is_revoked(proxy, place.credential)


# --- what certificates name


@pytest.fixture
def named(tmp_path: Path) -> Iterator[CrlSite]:
    """Write a site that follows its clients' certificates to the server, and to nobody else."""
    with crl_site(tmp_path, named=True, refresh="1s", timeout="2s") as site:
        yield site


def test_the_first_client_waits_for_the_crl_that_its_certificate_names(named: CrlSite) -> None:
    """The next one finds it; what it lists later is refused, and its connection closed."""
    other = named.cdn.issue(Leaf(subject="other", extra=(points(at(named.server.url())),)))
    named.serve(1)
    with running(named.config) as proxy:
        assert is_served(proxy, named.credential)
        line = proxy.wait_for(lambda line: line["event"] == "handshake.accepted")
        assert line["waited_ms"] > 0
        assert line["revocation"][0]["source"] == named.server.url()
        assert is_served(proxy, other)
        named.serve(2, named.credential)
        updated(proxy, 2)
        assert is_revoked(proxy, named.credential)
        assert is_served(proxy, other)


def test_the_first_client_is_refused_if_the_crl_lists_it(named: CrlSite) -> None:
    """It has waited for that, and the app has seen nothing of it."""
    named.serve(1, named.credential)
    with running(named.config) as proxy:
        with TlsClient(proxy.port, ZONE, named.credential).handshake() as client:
            assert client.get("/", ZONE).status == 403
        assert proxy.reason("handshake.refused") == "revoked"
        assert is_revoked(proxy, named.credential)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (web.status(404), "http-status: answered 404"),
        (web.silence(), "timed-out: no whole answer within 2 s"),
        (web.body(b"<html>"), "malformed: neither PEM"),
    ],
)
def test_a_crl_that_cannot_be_had_refuses_and_says_why(named: CrlSite, answer: Answer, cause: str) -> None:
    """With the cause; whoever comes later is admitted when it is there."""
    named.server.answers["/ca.crl"] = answer
    with running(named.config) as proxy:
        with TlsClient(proxy.port, ZONE, named.credential).handshake() as client:
            assert client.get("/", ZONE).status == 403
        line = proxy.wait_for(lambda line: line["event"] == "handshake.refused")
        assert line["reason"] == "crl-missing"
        assert cause in line["detail"]
        named.serve(1)
        updated(proxy, 1)
        assert is_served(proxy, named.credential)


def test_nobody_is_asked_who_is_not_on_the_list(named: CrlSite) -> None:
    """Whatever a certificate names; the refusal says so."""
    stray = named.cdn.issue(Leaf(subject="stray", extra=(points(at(f"http://127.0.0.1:{named.server.port}/ca.crl")),)))
    with running(named.config) as proxy:
        with TlsClient(proxy.port, ZONE, stray) as client:
            assert alert_of(client) == "bad_certificate"
        line = proxy.wait_for(lambda line: line["event"] == "handshake.refused")
        assert (line["reason"], "host-not-allowed" in line["detail"]) == ("crl-missing", True)
    assert not named.server.seen


def test_a_certificate_that_is_not_verified_makes_nobody_ask(named: CrlSite) -> None:
    """A stranger's certificate names an allowed host, too."""
    stranger = Authority.root("CDN CA").issue(Leaf(subject="stranger", extra=(points(at(named.server.url())),)))
    with running(named.config) as proxy:
        with TlsClient(proxy.port, ZONE, stranger) as client:
            assert alert_of(client) is not None
        proxy.wait_for(lambda line: line["event"] == "handshake.refused")
    assert not named.server.seen


# --- and with several workers


def test_one_fetch_serves_all_workers(named: CrlSite) -> None:
    """Whoever has the first client asks; all refuse whom the refreshed CRL lists."""
    named.config.write_text(named.config.read_text() + "\nworkers: 2\n")
    named.serve(1)
    with running(named.config) as proxy:
        assert all(is_served(proxy, named.credential) for _ in range(8))
        named.serve(2, named.credential)
        updated(proxy, 2)
        assert all(is_revoked(proxy, named.credential) for _ in range(8))
        counted = f'originward_crl_fetches_total{{bundle="cdn",outcome="updated",source="{named.server.url()}"}} 2.0'
        assert counted in proxy.metrics()
