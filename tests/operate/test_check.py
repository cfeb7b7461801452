"""Check: the summary of a configuration, and its problems as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.operate.check import check
from proxy.snapshot.problems import ConfigError
from tests.support.certificates import DAY, NOW, make_ca
from tests.support.furnish import furnished, pem, write

TEXT = """\
listen: [{address: "0.0.0.0:8443"}, {address: "[::]:8443"}]
trust:
  cdn: {anchors: [cdn.pem], require_eku: true}
  spare: {anchors: [spare.pem]}
upstreams:
  app: {servers: ["http://127.0.0.1:9000", "http://unix:/run/app.sock"]}
hosts:
  - names: [a.example, "*.b.example"]
    certificate: {chain: a.pem, key: a.key}
    routes:
      - {path: /public/, client_certificate: none, upstream: app, max_body: 1KiB}
      - path: /
        trust: cdn
        policy: {san_dns: ["*.cdn.example"], max_lifetime: 90d}
        upstream: app
        identity_headers: []
admin: {address: off}
log: {target: o.log, requests: all}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Make a configuration with everything that it names."""
    return furnished(tmp_path, TEXT)


def summary(config: Path, now: float = NOW) -> str:
    """Return what check writes, with single blanks and without the folder's name."""
    lines: list[str] = []
    assert check(config, now, lines.append) == 0
    return "\n".join(" ".join(line.split()) for line in lines).replace(f"{config.parent}/", "")


@pytest.mark.parametrize(
    "words",
    [
        "o.yaml is good (2 warnings, at the end)",
        "listen 0.0.0.0:8443, [::]:8443",
        "admin off",
        "log o.log (handshakes: all, requests: all)",
        "host a.example\nnames a.example, *.b.example\nasks for a client certificate; a client without one is refused",
        "certificate CN=a.example\nsha256 ",
        "until 2029-10-11 08:00 UTC, 1000 days left; key EC secp256r1",
        "route /public/\nclient certificate none\nupstream app (127.0.0.1:9000, unix:/run/app.sock)\nidentity",
        "identity headers rfc9440\nrequest body at most 1024 octets\nroute /\n",
        "route /\nclient certificate required, to an anchor of cdn\nand san_dns: a DNS name in",
        "and san_dns: a DNS name in [*.cdn.example]\nand max_lifetime: a lifetime of at most 90 days\nupstream",
        "identity headers none\nrequest body of any size",
        "bundle cdn\nused by a.example/\nrequire_eku a leaf without extended key usage is refused\nanchor CN=cdn CA",
        "bundle spare\nused by no route\nanchor CN=spare CA",
        "warnings\no.yaml:4: trust.spare: no route uses it\no.yaml:11: hosts[0].routes[0].client_certificate: anybody",
    ],
)
def test_the_summary_says_who_may_reach_what(config: Path, words: str) -> None:
    """Readable at three in the morning, and complete."""
    assert words in summary(config)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (NOW + 1000 * DAY - 1, "until 2029-10-11 08:00 UTC, 0 days left"),
        (NOW + 1000 * DAY + 1, "EXPIRED on 2029-10-11 08:00 UTC"),
        (NOW - 1000 * DAY - 1, "NOT VALID BEFORE 2024-04-20 08:00 UTC"),
    ],
)
def test_expiry_is_judged_at_the_time_that_was_given(config: Path, now: float, words: str) -> None:
    """A certificate's last, incomplete day counts as none."""
    assert summary(config, now).count(words) == 3


def test_a_summary_without_warnings_says_so(config: Path) -> None:
    """And has no empty list of them."""
    strict = TEXT.replace("client_certificate: none", "trust: cdn")
    config.write_text(strict.replace("  spare: {anchors: [spare.pem]}\n", ""))
    text = summary(config)
    assert text.startswith("o.yaml is good (no warnings)")
    assert "warnings\n" not in text


def test_a_host_that_never_asks_is_told_from_one_that_always_does(config: Path) -> None:
    """CloudFront drops requests to an origin that asks for a certificate it does not have."""
    both = TEXT.replace("client_certificate: none", "trust: cdn")
    config.write_text(both)
    assert "a client without one is refused in the handshake" in summary(config)
    config.write_text(TEXT.partition("      - path: /\n")[0] + TEXT[TEXT.index("admin:") :])
    assert "asks for no certificate" in summary(config)


def test_hostile_names_are_escaped(config: Path) -> None:
    """A CA's subject is somebody else's text."""
    write(config.parent / "spare.pem", pem(make_ca("\x1b[2Jroot\nbundle fake")))
    lines: list[str] = []
    check(config, NOW, lines.append)
    assert all(line.isprintable() for line in lines)
    assert "bundle fake" not in lines


def test_problems_are_the_callers_to_show(config: Path) -> None:
    """All of them, and nothing of a summary."""
    config.write_text(TEXT + "foo: 1\nbar: 2\n")
    lines: list[str] = []
    with pytest.raises(ConfigError) as caught:
        check(config, NOW, lines.append)
    assert (len(caught.value.problems), lines) == (2, [])


def test_no_secret_is_in_the_summary(config: Path) -> None:
    """Keys are named nowhere in it, let alone shown."""
    text = summary(config)
    secrets = (config.parent / "a.key").read_text().splitlines()
    assert [line for line in secrets if line in text] == []
