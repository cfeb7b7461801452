"""Load: the whole way from files to a snapshot, every fault of a file, and every warning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.snapshot.config import Config
from proxy.snapshot.load import load
from proxy.snapshot.model import Snapshot
from proxy.snapshot.problems import ConfigError
from tests.support.certificates import DAY, NOW, SERVER, make_ca, make_leaf
from tests.support.furnish import furnished, key_pem, pem, write

TEXT = """\
listen: [{address: "127.0.0.1:0"}]
trust:
  cdn: {anchors: [trust/cdn.pem]}
  partners: {anchors: [trust/partners/], require_eku: true}
upstreams:
  app:
    {servers: ["http://127.0.0.1:9000", "http://unix:run/app.sock"], max_idle: 3, idle_timeout: 7s, max_connections: 9}
hosts:
  - names: [a.example, "*.b.example"]
    certificate: {chain: tls/a.pem, key: tls/a.key}
    routes:
      - {path: /partners/, trust: partners, policy: {max_chain: 3}, upstream: app}
      - {path: /batch/, trust: partners, policy: {max_chain: 3}, upstream: app, max_body: 1KiB}
      - {path: /long/, trust: partners, policy: {max_chain: 4}, upstream: app, identity_headers: [nginx, alb]}
      - {path: /, trust: cdn, upstream: app}
  - names: [c.example]
    certificate: {chain: tls/c.pem, key: tls/c.key}
    routes: [{path: /, trust: cdn, upstream: app}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Make a good configuration with everything that it names."""
    return furnished(tmp_path, TEXT)


def problems(file: Path) -> list[str]:
    """Return what loading reports, without the folder's name."""
    with pytest.raises(ConfigError) as caught:
        load(file, 1, NOW)
    return [line.replace(f"{file.parent}/", "") for line in str(caught.value).splitlines()]


def warnings(file: Path) -> list[str]:
    """Return the warnings of a configuration that loads, without the folder's name."""
    return [line.replace(f"{file.parent}/", "") for line in load(file, 1, NOW).warnings]


def test_a_snapshot_holds_what_the_configuration_says(config: Path) -> None:
    """Everything under one generation, with nothing to warn of."""
    snapshot = load(config, 7, NOW)
    first, second = snapshot.hosts.hosts
    assert (snapshot.generation, snapshot.warnings) == (7, ())
    assert snapshot.hosts.find("x.b.example") is first
    assert (first.asks, first.requires) == (True, True)
    assert [cert.subject for cert in snapshot.certificates[second]] == ["CN=c.example", "CN=Server CA"]
    assert set(snapshot.contexts) == {first, second}
    assert snapshot.bundles["partners"].require_eku
    assert not snapshot.bundles["cdn"].require_eku
    upstream = snapshot.upstreams["app"]
    assert [str(server) for server in upstream.servers] == ["127.0.0.1:9000", f"unix:{config.parent}/run/app.sock"]
    assert (upstream.max_idle, upstream.idle_timeout, upstream.max_connections) == (3, 7.0, 9)


def test_routes_become_what_the_judges_read(config: Path) -> None:
    """Families, bodies and gates of each route."""
    routes = load(config, 1, NOW).hosts.hosts[0].routes
    assert [(route.path, route.families, route.max_body) for route in routes] == [
        ("/partners/", ("rfc9440",), None),
        ("/batch/", ("rfc9440",), 1024),
        ("/long/", ("nginx", "alb"), None),
        ("/", ("rfc9440",), None),
    ]
    assert [[rule.key for rule in route.gate.rules] for route in routes if route.gate] == [["max_chain"]] * 3 + [[]]


def test_routes_with_the_same_bundle_and_rules_share_a_gate(config: Path) -> None:
    """Across hosts too, and so a cached verdict; other rules are another gate."""
    first, second = load(config, 1, NOW).hosts.hosts
    partners, batch, long, site = (route.gate for route in first.routes)
    assert partners is batch
    assert long is not partners
    assert second.routes[0].gate is site


def test_every_file_that_was_read_is_listed_once(config: Path) -> None:
    """The configuration first."""
    names = [str(file.relative_to(config.parent)) for file in load(config, 1, NOW).files]
    assert names == [
        "o.yaml", "trust/cdn.pem", "trust/partners/ca.pem", "tls/a.pem", "tls/a.key", "tls/c.pem", "tls/c.key",
    ]  # fmt: skip


def test_a_relative_path_of_the_configuration_itself_works(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in ``originward check o.yaml``."""
    monkeypatch.chdir(config.parent)
    assert load(Path(config.name), 1, NOW).files[0] == Path("o.yaml")


CA = make_ca("Other CA")
LEAF = make_leaf(CA, "a.example", dns=["a.example", "*.b.example"], eku=SERVER)
EC_KEY = key_pem(LEAF)
SHORT = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused

FAULTS: dict[str, tuple[dict[str, bytes | None], list[str]]] = {
    "no such file": (
        {"trust/cdn.pem": None},
        ["o.yaml:3: trust.cdn.anchors[0]: trust/cdn.pem does not exist (relative paths start from"],
    ),
    "empty bundle": ({"trust/cdn.pem": b""}, ["o.yaml:3: trust.cdn.anchors[0]: trust/cdn.pem: the file is empty"]),
    "empty folder": (
        {"trust/partners/ca.pem": None},
        ["o.yaml:4: trust.partners.anchors[0]: trust/partners is a folder without any"],
    ),
    "bad file in a folder": (
        {"trust/partners/x.crt": b"x"},
        ["o.yaml:4: trust.partners.anchors[0]: trust/partners/x.crt: neither PEM nor one DER certificate"],
    ),
    "leaf as anchor": (
        {"trust/cdn.pem": pem(LEAF)},
        ["o.yaml:3: trust.cdn.anchors[0]: trust/cdn.pem: CN=a.example is no anchor: it is no CA certificate"],
    ),
    "other key": (
        {"tls/a.key": key_pem(CA)},
        ["o.yaml:10: hosts[0].certificate.key: the key in tls/a.key does not belong to the certificate of"],
    ),
    "swapped": (
        {"tls/a.pem": EC_KEY, "tls/a.key": pem(LEAF)},
        [
            "o.yaml:10: hosts[0].certificate.chain: tls/a.pem: the file holds no certificate",
            "o.yaml:10: hosts[0].certificate.key: tls/a.key: not a private key in PEM or DER form",
        ],
    ),
    "issuer first": (
        {"tls/a.pem": pem(CA) + pem(LEAF), "tls/a.key": EC_KEY},
        ["o.yaml:10: hosts[0].certificate.chain: tls/a.pem: certificate 2 (CN=a.example) did not issue certificate 1"],
    ),
    "several files": (
        {"trust/cdn.pem": b"x", "tls/a.key": b"x", "tls/c.pem": None},
        [
            "o.yaml:3: trust.cdn.anchors[0]: trust/cdn.pem: neither PEM nor one DER",
            "o.yaml:10: hosts[0].certificate.key: tls/a.key: not a private key",
            "o.yaml:17: hosts[1].certificate.chain: tls/c.pem does not exist",
        ],
    ),
    "no configuration": ({"o.yaml": None}, ["o.yaml: does not exist"]),
}


@pytest.mark.parametrize(("files", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_bad_file_refuses_the_whole(config: Path, files: dict[str, bytes | None], expected: list[str]) -> None:
    """With the line that names it; all bad files at once."""
    for name, data in files.items():
        if data is None:
            (config.parent / name).unlink()
        else:
            write(config.parent / name, data)
    found = problems(config)
    assert len(found) == len(expected), found
    assert [line for line, start in zip(found, expected, strict=True) if not line.startswith(start)] == []


def test_a_key_that_openssl_refuses_is_a_problem_not_a_crash(config: Path) -> None:
    """RSA with 1024 bits is below the security level of the contexts."""
    leaf = make_leaf(CA, "a.example", eku=SERVER, key=SHORT)
    write(config.parent / "tls/a.pem", pem(leaf))
    write(config.parent / "tls/a.key", key_pem(leaf))
    [problem] = problems(config)
    assert problem.startswith("o.yaml:10: hosts[0].certificate: OpenSSL refuses the certificate or key of a.example")


def serve(config: Path, *, dns: tuple[str, ...] = ("a.example", "*.b.example"), **settings: object) -> None:
    """Give the first host another certificate."""
    leaf = make_leaf(CA, "a.example", **({"dns": dns, "eku": SERVER} | settings))
    write(config.parent / "tls/a.pem", pem(leaf))
    write(config.parent / "tls/a.key", key_pem(leaf))


def anchor(config: Path, **settings: object) -> None:
    """Give the first bundle another anchor."""
    write(config.parent / "trust/cdn.pem", pem(make_ca("CDN CA", **settings)))


def edit(config: Path, old: str, new: str) -> None:
    """Change the configuration's text."""
    assert old in TEXT
    config.write_text(TEXT.replace(old, new))


A = "hosts[0].certificate.chain: the certificate of CN=a.example"
SITE = "{path: /, trust: cdn, upstream: app}"
WARNINGS: dict[str, tuple[Callable[[Path], None], str]] = {
    "expired": (
        lambda c: serve(c, not_before=NOW - 9 * DAY, not_after=NOW - 1),
        f"o.yaml:10: {A} expired on 2027-01-15 07:59 UTC; clients will refuse it",
    ),
    "not yet valid": (
        lambda c: serve(c, not_before=NOW + DAY),
        f"o.yaml:10: {A} is not valid before 2027-01-16 08:00 UTC",
    ),
    "client certificate": (
        lambda c: serve(c, eku=[ExtendedKeyUsageOID.CLIENT_AUTH]),
        "o.yaml:10: hosts[0].certificate.chain: the extended key usage of CN=a.example lacks serverAuth",
    ),
    "other names": (
        lambda c: serve(c, dns=("a.example", "b.example")),
        f"o.yaml:10: {A} does not cover *.b.example; clients",
    ),
    "open key": (
        lambda c: (c.parent / "tls/a.key").chmod(0o644),
        "o.yaml:10: hosts[0].certificate.key: the private key tls/a.key can be read by others",
    ),
    "expired anchor": (
        lambda c: anchor(c, not_after=NOW - 1),
        "o.yaml:3: trust.cdn.anchors[0]: trust/cdn.pem: anchor CN=CDN CA expired on 2027-01-15 07:59 UTC",
    ),
    "anchor of tomorrow": (
        lambda c: anchor(c, not_before=NOW + 1),
        "o.yaml:3: trust.cdn.anchors[0]: trust/cdn.pem: anchor CN=CDN CA is not valid before 2027-01-15 08:00 UTC",
    ),
    "admin for all": (
        lambda c: edit(c, "trust:\n", 'admin: {address: "0.0.0.0:9901"}\ntrust:\n'),
        "o.yaml:2: admin.address: 0.0.0.0:9901 is not on loopback",
    ),
    "default host": (
        lambda c: edit(c, "  - names: [c.", "  - default: true\n    names: [c."),
        "o.yaml:16: hosts[1].default: clients whose SNI is missing or unknown reach c.example",
    ),
    "no certificate": (
        lambda c: edit(c, "- " + SITE, "- {path: /, client_certificate: none, upstream: app}"),
        "o.yaml:15: hosts[0].routes[3].client_certificate: anybody reaches a.example/ (client_certificate: none)",
    ),
    "optional certificate": (
        lambda c: edit(c, "- " + SITE, "- {path: /, client_certificate: optional, trust: cdn, upstream: app}"),
        "o.yaml:15: hosts[0].routes[3].client_certificate: a client without a certificate reaches a.example/",
    ),
    "unused bundle": (
        lambda c: edit(c, "  partners: {", "  staff: {anchors: [trust/cdn.pem]}\n  partners: {"),
        "o.yaml:4: trust.staff: no route uses it",
    ),
    "unused upstream": (
        lambda c: edit(c, "upstreams:\n", 'upstreams:\n  web: {servers: ["http://a"]}\n'),
        "o.yaml:6: upstreams.web: no route uses it",
    ),
}


@pytest.mark.parametrize(("change", "expected"), WARNINGS.values(), ids=WARNINGS)
def test_what_is_worrying_is_a_warning(config: Path, change: Callable[[Path], None], expected: str) -> None:
    """It loads all the same: a proxy that does not start helps nobody at three in the morning."""
    change(config)
    [warning] = warnings(config)
    assert warning.startswith(expected)


def test_a_weak_anchor_is_a_warning(config: Path) -> None:
    """Every chain to it would be refused, and the reason is here, not with the clients."""
    anchor(config, key=SHORT)
    [warning] = warnings(config)
    assert "trust/cdn.pem: key RSA 1024 of CN=CDN CA" in warning


def test_hostile_text_in_a_certificate_is_escaped(config: Path) -> None:
    """A problem is printed on somebody's terminal."""
    leaf = make_leaf(CA, "a\x1b[2J\nerror: none", eku=SERVER)
    write(config.parent / "tls/a.pem", pem(leaf))
    [problem] = problems(config)
    assert problem.isprintable()


def test_the_same_anchor_twice_is_one_anchor(config: Path) -> None:
    """A file and its copy in a folder are a common overlap."""
    data = (config.parent / "trust/partners/ca.pem").read_bytes()
    write(config.parent / "trust/partners/copy.pem", data + pem(CA))
    assert [a.subject for a in load(config, 1, NOW).bundles["partners"].anchors] == ["CN=partners CA", "CN=Other CA"]


def test_a_host_is_covered_by_an_address_in_its_certificate(config: Path) -> None:
    """A default host may be named by its address."""
    serve(config, dns=(), ips=["10.0.0.1", "2001:db8::1"])
    edit(config, '[a.example, "*.b.example"]', '["10.0.0.1", "[2001:db8::1]"]\n    default: true')
    assert [line for line in warnings(config) if "cover" in line] == []


def test_nothing_of_a_key_can_be_seen_in_a_snapshot(config: Path) -> None:
    """Whoever prints one in a debugger or a log prints no secret."""
    secret = (config.parent / "tls/a.key").read_text().splitlines()[1]
    snapshot = load(config, 1, NOW)
    assert isinstance(snapshot.config, Config)
    assert secret not in repr(replace(snapshot))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    name=st.sampled_from(["trust/cdn.pem", "tls/a.pem", "tls/a.key"]),
    at=st.integers(0, 1500),
    with_=st.binary(max_size=3),
)
def test_damaged_files_give_a_snapshot_or_a_config_error(config: Path, name: str, at: int, with_: bytes) -> None:
    """Never anything else, whatever octet is wrong."""
    file = config.parent / name
    good = file.read_bytes()
    file.write_bytes(good[:at] + with_ + good[at + 1 :])
    try:
        assert isinstance(load(config, 1, NOW), Snapshot)
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - either outcome is right
    finally:
        file.write_bytes(good)
