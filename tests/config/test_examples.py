"""The examples in config/: each one loads, warns of exactly what it loosens, says what it comes to, and runs."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest

from proxy.decide.peer.policy.rules import RULES
from proxy.operate.check import check
from proxy.operate.demo.pki import Credential
from proxy.snapshot.load import load
from tests.support.certificates import DAY, NOW, Issued, make_ca, make_leaf, name
from tests.support.furnish import crl_of_ca, furnish, write
from tests.support.harness import ProxyProcess, RawOrigin, TlsClient, running

FOLDER = Path(__file__).parents[2] / "config"
WARNINGS = {
    "minimal.yaml": [],
    "cdn.yaml": [],
    "gateway.yaml": [],
    "policy.yaml": [],
    "revocation.yaml": ["no responder is asked about intermediates"],
    "rotation.yaml": [],
    "routes.yaml": ["anybody reaches", "a client without a certificate reaches", "anybody reaches"],
    "sidecar.yaml": ["SNI is missing or unknown", "anybody reaches"],
}


@pytest.fixture
def furnished(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Copy one example and make the files that it names."""
    config = Path(shutil.copy(FOLDER / request.param, tmp_path))
    furnish(config)
    return config


def test_every_example_is_in_the_table() -> None:
    """A new example is loaded by these tests, too."""
    assert {file.name for file in FOLDER.glob("*.yaml")} - {"alerts.yaml"} == set(WARNINGS)


@pytest.mark.parametrize("furnished", WARNINGS, indirect=True)
def test_an_example_loads_and_warns_only_of_what_it_loosens(furnished: Path) -> None:
    """What the comments of an example call a loosening is a warning, and nothing else is."""
    snapshot = load(furnished, 1, NOW)
    expected = WARNINGS[furnished.name]
    assert len(snapshot.warnings) == len(expected)
    assert all(words in warning for words, warning in zip(expected, snapshot.warnings, strict=True))


@pytest.mark.parametrize("furnished", WARNINGS, indirect=True)
def test_an_example_is_summed_up(furnished: Path) -> None:
    """Check names every host, route and bundle of the example."""
    lines: list[str] = []
    assert check(furnished, NOW, lines.append) == 0
    text = "\n".join(lines)
    snapshot = load(furnished, 1, NOW)
    words = [f"host {host.name}" for host in snapshot.hosts.hosts] + [f"bundle {name}" for name in snapshot.bundles]
    words += [f"route {route.path}" for host in snapshot.hosts.hosts for route in host.routes]
    assert [word for word in words if word not in text] == []


def test_the_policy_example_has_every_rule() -> None:
    """The annotated list of rules is the whole list."""
    text = (FOLDER / "policy.yaml").read_text()
    assert [rule for rule in RULES if f" {rule}:" not in text] == []


REQUESTS: dict[str, list[tuple[str | None, str, int]]] = {
    "minimal.yaml": [("clients", "origin.example.com/", 200)],
    "cdn.yaml": [("cdn", "origin.example.com/a?b=c", 200)],
    "gateway.yaml": [("cdn", "origin.example.com/", 200)],
    "revocation.yaml": [("cdn", "origin.example.com/", 200)],
    "policy.yaml": [
        ("partners", "origin.example.com/names/", 200),
        ("partners", "origin.example.com/subjects/", 200),
        ("partners", "origin.example.com/pins/", 403),
        ("partners", "origin.example.com/", 200),
    ],
    "rotation.yaml": [("partners", "origin.example.com/", 200)],
    "routes.yaml": [
        ("partners", "origin.example.com/partners", 200),
        ("partners", "origin.example.com/internal/", 403),
        ("staff", "origin.example.com/internal/", 200),
        ("cdn", "a.tenants.example.com/", 200),
        ("cdn", "origin.example.com/account/", 200),
        (None, "origin.example.com/account/", 200),
        (None, "origin.example.com/public/", 200),
        (None, "origin.example.com/", 403),
        (None, "health.example.com/", 200),
    ],
    "sidecar.yaml": [
        ("mesh", "app.internal.example/", 200),
        (None, "app.internal.example/healthz", 200),
        (None, "app.internal.example/", 403),
    ],
}
"""A client of which bundle asks for what, and the status of the answer."""


def _on_this_machine(config: Path, origin_port: int) -> None:
    """Put free ports, and an app that is there, in the place of the example's addresses; the rest stays as it is."""
    text = re.sub(r"(?m)^(  - address: ).*$", r"\g<1>127.0.0.1:0", config.read_text(), count=1)
    text = re.sub(r'(?m)^  - address: "\[::\]:8443"\n', "", text)
    text = re.sub(r"http://(unix:[^\"]+|127\.0\.0\.1:\d+)", f"http://127.0.0.1:{origin_port}", text)
    text = re.sub(r"(?ms)^admin:\n.*?\n\n", "", text)
    config.write_text(text + '\nadmin: {address: "127.0.0.1:0"}\n')


def _client(anchor: Issued, folder: Path) -> Credential:
    """Make a client that satisfies every policy of the examples, but for the pins; its CA has a CRL."""
    now = time.time()
    issuer = make_ca("Partner Issuing CA", anchor, path_length=0)
    write(folder / "crl" / "cdn" / f"{anchor.certificate.serial:x}.crl", crl_of_ca(issuer))
    leaf = make_leaf(
        issuer,
        subject=name("edge", organization="Partner", units=["Edge"]),
        dns=["edge.cdn.example.com", "gateway.partner.example"],
        uris=["spiffe://partner.example/cdn/a", "spiffe://cluster.example/ns/a/sa/b"],
        emails=["edge@ops.partner.example"],
        ips=["198.51.100.7"],
        not_before=now - DAY,
        not_after=now + 60 * DAY,
    )
    return Credential(leaf.certificate.x509, leaf.key, (issuer.certificate.x509,))


@pytest.mark.parametrize("example", REQUESTS)
def test_an_example_runs_and_admits_whom_it_says(example: str, tmp_path: Path) -> None:
    """Started with files as it names them, asked over TLS, and stopped in good order."""
    config = Path(shutil.copy(FOLDER / example, tmp_path))
    clients = {bundle: _client(anchor, tmp_path) for bundle, anchor in furnish(config).bundles.items()}
    with RawOrigin() as origin:
        _on_this_machine(config, origin.port)
        with running(config) as proxy:
            for bundle, url, status in REQUESTS[example]:
                assert _ask(proxy, clients[bundle] if bundle else None, url) == status, url


def _ask(proxy: ProxyProcess, client: Credential | None, url: str) -> int:
    host, _, path = url.partition("/")
    with TlsClient(proxy.port, host, client).handshake() as tls:
        return tls.get(f"/{path}", host).status


def test_every_example_is_run() -> None:
    """A new one is asked something, too."""
    assert set(REQUESTS) == set(WARNINGS)
