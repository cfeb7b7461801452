"""Configuration errors in plain sentences: each with its line and key path, and never anything but a ConfigError."""

from __future__ import annotations

import copy
from functools import reduce
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.snapshot.config import Config
from proxy.snapshot.document import parse
from proxy.snapshot.problems import ConfigError
from proxy.snapshot.references import check_references
from proxy.snapshot.translate import read_config

GOOD = """\
listen:
  - address: 0.0.0.0:8443
trust:
  cdn: {anchors: [trust/cdn.pem]}
upstreams:
  app: {servers: ["http://127.0.0.1:9000"]}
hosts:
  - names: [origin.example.com]
    certificate: {chain: tls/o.pem, key: tls/o.key}
    routes:
      - path: /
        trust: cdn
        upstream: app
"""

OTHER_HOST = """\
  - names: [{name}]
    certificate: {{chain: a, key: b}}
    routes: [{{path: /, client_certificate: none, upstream: app}}]
"""


def read(text: str) -> Config:
    """Read a configuration without its files; raise ConfigError with what the schema and the references report."""
    document = parse(text.encode(), Path("/etc/o/o.yaml"))
    config, problems = read_config(document)
    problems.extend(check_references(document))
    if config is None or problems:
        raise ConfigError(problems)
    return config


def problems(text: str) -> list[str]:
    """Return what is wrong with a configuration, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [line.removeprefix("/etc/o/o.yaml:") for line in str(caught.value).splitlines()]


def test_the_smallest_configuration_has_the_defaults_that_are_documented() -> None:
    """Strict by default: a certificate is required, admin is on loopback, all handshakes are logged."""
    config = read(GOOD)
    route = config.hosts[0].routes[0]
    assert (route.client_certificate, route.policy, route.max_body) == ("required", (), None)
    assert route.identity_headers == ("rfc9440",)
    assert str(config.admin.address) == "127.0.0.1:9901"
    assert (config.log.target, config.log.handshakes, config.log.requests) == (None, "all", "errors")
    assert [entry.file for entry in config.trust["cdn"].anchors] == [Path("/etc/o/trust/cdn.pem")]
    assert config.limits.model_dump() == {
        "head": 32768, "fields": 128, "handshake_timeout": 10.0, "head_timeout": 15.0, "idle_timeout": 130.0,
        "body_timeout": 60.0, "write_timeout": 60.0, "upstream_connect_timeout": 5.0, "upstream_response_timeout": 60.0,
        "connections": 10000, "handshakes": 1000, "handshake_rate": None, "drain_timeout": 30.0,
        "withdrawal_timeout": 30.0, "cached_verdicts": 20000,
    }  # fmt: skip


def test_an_anchor_can_have_a_window() -> None:
    """A path alone, and a file with one end or both; times are in any zone."""
    anchors = "[a/, {file: b, not_before: 2027-01-01T01:00:00+01:00}, {file: c, not_after: '2027-01-01 00:00Z'}]"
    found = read(GOOD.replace("[trust/cdn.pem]", anchors)).trust["cdn"].anchors
    begin = 1798761600.0
    assert [(str(entry.file), entry.not_before, entry.not_after) for entry in found] == [
        ("/etc/o/a", None, None), ("/etc/o/b", begin, None), ("/etc/o/c", None, begin),
    ]


@pytest.mark.parametrize(
    ("added", "path", "value"),
    [
        ("admin: {address: off}\n", ("admin", "address"), None),
        ("log: {target: /var/log/o.log, handshakes: off, requests: off}\n", ("log", "target"), Path("/var/log/o.log")),
        ("log: {target: o.log}\n", ("log", "target"), Path("/etc/o/o.log")),
        ("log: {target: stdout, handshakes: refused}\n", ("log", "handshakes"), "refused"),
        ("log: {requests: off}\n", ("log", "requests"), "off"),
        ("workers: 4\n", ("workers",), 4),
        ("workers: auto\n", ("workers",), None),
        ("limits: {handshake_rate: off}\n", ("limits", "handshake_rate"), None),
        ("limits: {handshake_rate: 2.5}\n", ("limits", "handshake_rate"), 2.5),
        ("limits: {head: 64KiB}\n", ("limits", "head"), 65536),
        ("limits: {idle_timeout: 2m}\n", ("limits", "idle_timeout"), 120.0),
    ],
)
def test_a_setting_is_parsed_to_its_type(added: str, path: tuple[str, ...], value: object) -> None:
    """``off`` is a word here, not YAML 1.1's False."""
    assert reduce(getattr, path, read(GOOD + added)) == value


def edit(old: str, new: str) -> str:
    """Return the good configuration with one change."""
    assert old in GOOD
    return GOOD.replace(old, new)


ROUTE = "        trust: cdn\n        upstream: app\n"
NONE = "client_certificate: none\n        upstream: app\n"
KNOWN = "known here: listen, workers, trust, upstreams, hosts, admin, log, cache, reload, fetch, limits"

BAD = {
    "unknown key": (GOOD + "revocation: {}\n", [f"14: revocation: unknown key; {KNOWN}"]),
    "slip of the pen": (GOOD + "admn: {}\n", [f"14: admn: unknown key; did you mean admin?; {KNOWN}"]),
    "unknown deep down": (
        edit("        upstream: app", "        upstream: app\n        mode: monitor"),
        ["14: hosts[0].routes[0].mode: unknown key; "],
    ),
    "unknown in a bundle": (
        edit("[trust/cdn.pem]", "[a], expect: [b]"),
        ["4: trust.cdn.expect: unknown key; known here: anchors, require_eku"],
    ),
    "missing part": (GOOD.partition("hosts:")[0], ["1: hosts: this key is missing"]),
    "missing key": (edit(", key: tls/o.key", ""), ["9: hosts[0].certificate.key: this key is missing"]),
    "no listener": (edit("listen:\n  - address: 0.0.0.0:8443", "listen: []"), ["1: listen: the list is empty"]),
    "no name": (edit("[origin.example.com]", "[]"), ["8: hosts[0].names: the list is empty"]),
    "no anchor": (edit("[trust/cdn.pem]", "[]"), ["4: trust.cdn.anchors: the list is empty"]),
    "no server": (edit('["http://127.0.0.1:9000"]', "[]"), ["6: upstreams.app.servers: the list is empty"]),
    "null": (edit("  cdn: {anchors: [trust/cdn.pem]}", "  cdn:"), ["4: trust.cdn: expected a mapping of keys"]),
    "text for a list": (edit("[trust/cdn.pem]", "x.pem"), ["4: trust.cdn.anchors: expected a list"]),
    "empty path": (edit("[trust/cdn.pem]", "['']"), ["4: trust.cdn.anchors[0]: expected the path of a file or folder"]),
    "number for an anchor": (edit("[trust/cdn.pem]", "[5]"), ["4: trust.cdn.anchors[0]: expected the path of a file"]),
    "unknown key of an anchor": (
        edit("[trust/cdn.pem]", "[{file: a, not_befor: 2027-01-01T00:00:00Z}]"),
        ["4: trust.cdn.anchors[0].not_befor: unknown key; did you mean not_before?"],
    ),
    "anchor without a file": (
        edit("[trust/cdn.pem]", "[{not_before: 2027-01-01T00:00:00Z}]"),
        ["4: trust.cdn.anchors[0].file: this key is missing"],
    ),
    "window without a zone": (
        edit("[trust/cdn.pem]", "[a, {file: b, not_after: 2027-01-01T00:00:00}]"),
        ["4: trust.cdn.anchors[1].not_after: '2027-01-01T00:00:00' has no time zone; add Z"],
    ),
    "window of a day": (
        edit("[trust/cdn.pem]", "[{file: b, not_after: 2027-01-01}]"),
        ["4: trust.cdn.anchors[0].not_after: '2027-01-01' is not a time such as"],
    ),
    "window that ends before it begins": (
        edit(
            "{anchors: [trust/cdn.pem]}",
            "\n    anchors:\n      - file: b\n        not_before: 2027-01-02T00:00:00Z\n"
            "        not_after: 2027-01-02T00:00:00+01:00",
        ),
        ["8: trust.cdn.anchors[0].not_after: not_after is not later than not_before"],
    ),
    "number for text": (edit("key: tls/o.key", "key: 5"), ["9: hosts[0].certificate.key: expected text; quote it"]),
    "off for false": (
        edit("[trust/cdn.pem]", "[a], require_eku: off"),
        ["4: trust.cdn.require_eku: expected true or false"],
    ),
    "bad bundle name": (edit("  cdn: {", '  "c d": {anchors: [a]}\n  cdn: {'), ["4: trust.c d: a name has letters"]),
    "no worker": (GOOD + "workers: 0\n", ["14: workers: expected a number of processes from 1 to 256, or auto"]),
    "no number of workers": (GOOD + "workers: all\n", ["14: workers: expected a number of processes from 1 to 256"]),
    "no unit": (GOOD + "limits: {idle_timeout: 130}\n", ["14: limits.idle_timeout: 130 is not a duration such as 15s"]),
    "no time": (GOOD + "limits: {head_timeout: 0s}\n", ["14: limits.head_timeout: must be more than 0"]),
    "too long": (GOOD + "limits: {head_timeout: 2d}\n", ["14: limits.head_timeout: must be 86400.0 at most"]),
    "too small": (GOOD + "limits: {head: 1B}\n", ["14: limits.head: must be 1024 at least"]),
    "fraction": (GOOD + "limits: {fields: 1.5}\n", ["14: limits.fields: expected a whole number"]),
    "truth for a number": (GOOD + "limits: {connections: true}\n", ["14: limits.connections: expected a whole number"]),
    "bad rate": (GOOD + "limits: {handshake_rate: 0}\n", ["14: limits.handshake_rate: expected handshakes per second"]),
    "bad word": (GOOD + "log: {handshakes: some}\n", ["14: log.handshakes: expected 'off', 'refused' or 'all'"]),
    "no such bundle": (
        edit("trust: cdn\n", "trust: cnd\n"),
        ["12: hosts[0].routes[0].trust: trust has no entry cnd; did you mean cdn?; known here: cdn"],
    ),
    "no such upstream": (
        edit("upstream: app\n", "upstream: web\n"),
        ["13: hosts[0].routes[0].upstream: upstreams has no entry web; known here: app"],
    ),
    "trust missing": (edit("        trust: cdn\n", ""), ["11: hosts[0].routes[0].trust: trust is missing"]),
    "trust with none": (
        edit("        trust: cdn\n", "        trust: cdn\n        client_certificate: none\n"),
        ["12: hosts[0].routes[0].trust: trust has no meaning with client_certificate: none"],
    ),
    "policy with none": (
        edit(ROUTE, "        policy: {max_chain: 2}\n        " + NONE),
        ["12: hosts[0].routes[0].policy: policy has no meaning with client_certificate: none"],
    ),
    "empty policy": (edit(ROUTE, ROUTE + "        policy: {}\n"), ["14: hosts[0].routes[0].policy: expected rules"]),
    "bad rules": (
        edit(ROUTE, ROUTE + "        policy:\n          max_chain: x\n          san_dsn: [a]\n"),
        [
            "15: hosts[0].routes[0].policy.max_chain: 'x' is not a whole number",
            "16: hosts[0].routes[0].policy.san_dsn: unknown rule; did you mean san_dns?",
        ],
    ),
    "unknown family": (
        edit(ROUTE, ROUTE + "        identity_headers: [ngnix]\n"),
        ["14: hosts[0].routes[0].identity_headers[0]: unknown family of identity headers; did you mean nginx?"],
    ),
    "family twice": (
        edit(ROUTE, ROUTE + "        identity_headers: [alb, alb]\n"),
        ["14: hosts[0].routes[0].identity_headers: each family of identity headers is named once"],
    ),
    "bad path": (
        edit("path: /\n", "path: /a/../b\n"),
        ["11: hosts[0].routes[0].path: '/a/../b': a path has no dot segments"],
    ),
    "bad choice": (
        edit(ROUTE, ROUTE + "        client_certificate: maybe\n"),
        ["14: hosts[0].routes[0].client_certificate: expected 'required', 'optional' or 'none'"],
    ),
    "same path": (
        GOOD + "      - {path: /a, trust: cdn, upstream: app}\n      - {path: /a/, trust: cdn, upstream: app}\n",
        ["15: hosts[0].routes[2].path: the path is taken (with or without a final slash) on line 14"],
    ),
    "same name": (
        GOOD + OTHER_HOST.format(name="ORIGIN.example.com."),
        ["14: hosts[1].names[0]: the host name is taken on line 8"],
    ),
    "two defaults": (
        edit("    certificate:", "    default: true\n    certificate:")
        + OTHER_HOST.format(name="b.example")
        + "    default: true\n",
        ["18: hosts[1].default: there is one default host at most; another is given on line 9"],
    ),
    "address as a name": (
        edit("[origin.example.com]", "[10.0.0.1]"),
        ["8: hosts[0].names[0]: an address is never sent as SNI"],
    ),
    "same listener": (
        edit("0.0.0.0:8443", "0.0.0.0:8443\n  - address: 0.0.0.0:8443"),
        ["3: listen[1].address: the address is taken on line 2"],
    ),
    "https upstream": (
        edit("http://127", "https://127"),
        ["6: upstreams.app.servers[0]: https:// servers are not supported"],
    ),
    "several at once": (
        edit("trust: cdn\n", "trust: x\n").replace("[origin.example.com]", "[a b]") + "foo: 1\n",
        [
            "8: hosts[0].names[0]: 'a b' is not a host name",
            "12: hosts[0].routes[0].trust: trust has no entry x",
            "14: foo: unknown key",
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_a_bad_configuration_is_refused_in_plain_words(text: str, expected: list[str]) -> None:
    """Each problem has the line and the path of its key; one mistake is one problem."""
    found = problems(text)
    assert len(found) == len(expected), found
    assert [line for line, start in zip(found, expected, strict=True) if not line.startswith(start)] == []


def test_a_default_host_may_be_named_by_its_address() -> None:
    """It is where clients without SNI arrive."""
    config = read(edit("names: [origin.example.com]", 'names: ["10.0.0.1", "[::1]"]\n    default: true'))
    assert config.hosts[0].names == ("10.0.0.1", "[::1]")


def test_ports_that_the_system_chooses_do_not_collide() -> None:
    """Port 0 is any free one."""
    config = read(edit("0.0.0.0:8443", "127.0.0.1:0\n  - address: 127.0.0.1:0"))
    assert len(config.listen) == 2


def test_rules_are_kept_in_the_order_of_the_table() -> None:
    """So that two policies with the same rules are the same policy, however they were written."""
    config = read(edit(ROUTE, ROUTE + "        policy: {max_chain: 3, san_dns: [a.example]}\n"))
    assert [rule.key for rule in config.hosts[0].routes[0].policy] == ["san_dns", "max_chain"]


def test_models_cannot_be_changed() -> None:
    """Not even their mappings."""
    config = read(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        config.listen = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.trust["x"] = config.trust["cdn"]  # type: ignore[index]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8),
    st.sampled_from(["off", "15s", "32KiB", "/a", "/", "cdn", "app", "nginx", "0.0.0.0:1", "http://a", "*.a", "none"]),
)  # fmt: skip
KEYS = st.sampled_from(["anchors", "path", "names", "default", "policy", "san_dns", "key", "max_chain", "limits", ""])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """List the paths of everything inside a plain value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in entries for found in [(*path, key), *places(inner, (*path, key))]]


FULL = yaml.safe_load(GOOD) | {
    "admin": {"address": "127.0.0.1:1"},
    "log": {"target": "stdout", "handshakes": "all", "requests": "errors"},
    "limits": {"head": "32KiB", "handshake_rate": 5, "idle_timeout": "130s"},
}
FULL["hosts"][0]["routes"][0] |= {"policy": {"san_dns": ["a.example"], "max_chain": 3}, "max_body": "1MiB"}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(places(FULL)), VALUES)
def test_a_configuration_with_one_value_replaced_is_read_or_refused(path: tuple[str | int, ...], value: object) -> None:
    """Whatever stands at any place, the outcome is a configuration or a ConfigError that says something."""
    tree = copy.deepcopy(FULL)
    inner = tree
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    try:
        config = read(yaml.safe_dump(tree, allow_unicode=True))
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - either outcome is right
    else:
        assert config.hosts
