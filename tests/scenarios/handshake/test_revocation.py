"""Revocation over a real connection: each mode's answer, and the evidence in the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from proxy.operate.demo.pki import Authority, Credential, Leaf
from tests.support.certificates import DAY
from tests.support.crls import make_crl
from tests.support.harness import ProxyProcess, RawOrigin, TlsClient, running
from tests.support.refusals import alert_of
from tests.support.site import TLS, document, host, required, write_config, write_server

MODES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "deny": ("old.crl", {}),
    "grace": ("old.crl", {"when_stale": "2d"}),
    "short": ("old.crl", {"when_stale": "1h"}),
    "stale": ("old.crl", {"when_stale": "allow"}),
    "none": ("other.crl", {}),
    "missing": ("other.crl", {"when_missing": "allow"}),
    "fresh": ("new.crl", {}),
}
"""A bundle and a host of the same name each: the CRL and the settings."""


@dataclass(frozen=True)
class Place:
    """A running proxy, its CA, and a client whose serial the old and the new CRL list."""

    proxy: ProxyProcess
    cdn: Authority
    revoked: Credential


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Run a proxy with a host for each mode, and one that looks at whole chains."""
    folder = tmp_path_factory.mktemp("revocation")
    cdn, now = Authority.root("CDN CA"), datetime.now(UTC).timestamp()
    cdn.write(folder / "cdn.pem")
    write_server(folder / "tls")
    revoked = cdn.issue(Leaf(subject="revoked"))
    listed = {revoked.certificate.serial_number: 1}
    old = make_crl(cdn, listed, number=3, this_update=now - 3 * DAY, next_update=now - DAY)
    (folder / "old.crl").write_bytes(old)
    (folder / "new.crl").write_bytes(make_crl(cdn, listed, number=4, this_update=now - DAY))
    (folder / "other.crl").write_bytes(make_crl(Authority.root("Other CA"), this_update=now - DAY))
    trust = {
        name: {"anchors": ["cdn.pem"], "revocation": {"crl": {"sources": [file], **settings}}}
        for name, (file, settings) in MODES.items()
    }
    hosts = [{"names": [host(name)], "certificate": TLS, "routes": [required(name)]} for name in MODES]
    # One route only looks: the certificate gets through the handshake, and is refused where it counts.
    trust["blind"] = {"anchors": ["cdn.pem"]}
    routes = [required("fresh"), required("blind", "/open/")]
    hosts.append({"names": [host("both")], "certificate": TLS, "routes": routes})
    with RawOrigin() as origin:
        config = write_config(folder, document(origin.port, hosts, trust=trust))
        with running(config) as proxy:
            yield Place(proxy, cdn, revoked)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("deny", "crl-stale"), ("grace", None), ("short", "crl-stale"), ("stale", None), ("none", "crl-missing"),
        ("missing", None), ("fresh", None),
    ],
)  # fmt: skip
def test_what_an_unlisted_client_gets_in_each_mode(place: Place, mode: str, reason: str | None) -> None:
    """Admitted, or refused with bad_certificate and the reason in the log."""
    mark = place.proxy.mark()
    credential = place.cdn.issue(Leaf(subject=f"client of {mode}"))
    with TlsClient(place.proxy.port, host(mode), credential) as client:
        if reason is None:
            assert client.handshake().get("/", host(mode)).status == 200
            return
        assert alert_of(client) == "bad_certificate"
    assert place.proxy.reason("handshake.refused", mark) == reason


@pytest.mark.parametrize("mode", ["deny", "grace", "short", "stale", "fresh"])
def test_a_listed_client_is_refused_however_old_the_list(place: Place, mode: str) -> None:
    """With the alert that says why."""
    with TlsClient(place.proxy.port, host(mode), place.revoked) as client:
        assert alert_of(client) == "certificate_revoked"


def test_the_line_of_a_refused_handshake_has_the_evidence(place: Place) -> None:
    """Source, number, dates and entry."""
    mark = place.proxy.mark()
    other = place.cdn.issue(Leaf(subject="somebody"))
    with TlsClient(place.proxy.port, host("deny"), other) as client:
        alert_of(client)
    line = place.proxy.wait_for(lambda line: line.get("certificate", {}).get("subject") == "CN=somebody", mark)
    (evidence,) = line["revocation"]
    assert Path(evidence["source"]).name == "old.crl"
    assert (evidence["crl_number"], evidence["issuer"], evidence["depth"]) == ("3", "CN=CDN CA", 0)
    assert {"this_update", "next_update"} <= evidence.keys()
    assert "out of date" in line["detail"]


def test_a_request_is_refused_where_the_routes_bundle_looks(place: Place) -> None:
    """The handshake was fine for another route; the line of the request has the evidence."""
    mark = place.proxy.mark()
    with TlsClient(place.proxy.port, host("both"), place.revoked).handshake() as client:
        assert client.get("/open/", host("both")).status == 200
        response = client.get("/", host("both"))
        assert (response.status, response.body) == (403, b"403 Forbidden\n")
    line = place.proxy.wait_for(lambda line: line["event"] == "request.refused", mark)
    (evidence,) = line["revocation"]
    assert (line["reason"], evidence["revocation_reason"], evidence["crl_number"]) == ("revoked", "keyCompromise", "4")
    assert evidence["revoked_at"] == "2027-01-13T08:00:00Z"


def test_the_metrics_say_when_each_crl_ends_and_what_it_lists(place: Place) -> None:
    """For an alert that comes before the clients are locked out."""
    text = place.proxy.metrics()
    rows = [line for line in text.splitlines() if line.startswith("originward_crl_") and 'bundle="fresh"' in line]
    assert len(rows) == 2
    assert any(row.startswith("originward_crl_entries") and row.endswith(" 1.0") for row in rows)
