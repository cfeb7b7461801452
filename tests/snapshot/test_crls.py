"""CRL files: what is read, what is refused at the key that names it, and what is warned of."""

from __future__ import annotations

from base64 import encodebytes
from pathlib import Path

import pytest

from proxy.decide.peer.crl.findings import find
from proxy.decide.peer.crl.parts import skeleton_of
from proxy.decide.peer.depth import Check
from proxy.decide.peer.hosts import Host, Hosts
from proxy.decide.peer.needs import Nonce
from proxy.decide.peer.ocsp.settings import Digest, Mode, Ocsp
from proxy.operate.check import check
from proxy.snapshot import crl_index
from proxy.snapshot.cache_choice import Places
from proxy.snapshot.load import load
from proxy.snapshot.model import Snapshot
from proxy.snapshot.problems import ConfigError
from tests.support.certificates import DAY, NOW, Issued, make_ca
from tests.support.crls import make_crl
from tests.support.furnish import furnished, pem, write

TEXT = """\
listen: [{address: "127.0.0.1:0"}]
trust:
  cdn:
    anchors: [cdn.pem]
    revocation:
      check: chain
      crl:
        sources: [crl/]
upstreams: {app: {servers: ["http://127.0.0.1:9000"]}}
hosts:
  - names: [a.example]
    certificate: {chain: tls/a.pem, key: tls/a.key}
    routes: [{path: /, trust: cdn, upstream: app}]
"""


def as_pem(*ders: bytes) -> bytes:
    """Write CRLs as PEM."""
    return b"".join(b"-----BEGIN X509 CRL-----\n" + encodebytes(der) + b"-----END X509 CRL-----\n" for der in ders)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Make a configuration and what it names, but for the CRLs."""
    file = furnished(tmp_path, TEXT)
    (tmp_path / "crl").mkdir()
    return file


@pytest.fixture
def ca(config: Path) -> Issued:
    """Anchor a CA whose key is at hand."""
    issuer = make_ca("CDN")
    write(config.parent / "cdn.pem", pem(issuer))
    return issuer


def loaded(config: Path, old: str = "", new: str = "") -> Snapshot:
    """Load the configuration with one text in the place of another."""
    config.write_text(TEXT.replace(old, new) if old else TEXT)
    return load(config, 1, NOW)


def problem(config: Path, old: str = "", new: str = "") -> str:
    """Return what loading reports, without the folder's name."""
    with pytest.raises(ConfigError) as caught:
        loaded(config, old, new)
    return str(caught.value).replace(f"{config.parent}/", "")


def test_a_folder_may_hold_pem_and_der_and_several_in_one_file(config: Path, ca: Issued) -> None:
    """Each keeps its file's name."""
    folder = config.parent / "crl"
    write(folder / "a.crl", make_crl(ca, number=1))
    write(folder / "b.pem", as_pem(make_crl(ca, {5: 1}, number=2), make_crl(make_ca("Other"))))
    write(folder / "notes.txt", b"no CRL")
    snapshot = loaded(config)
    revocation = snapshot.bundles["cdn"].revocation
    assert revocation is not None
    assert [Path(crl.source).name for crl in revocation.crls.crls] == ["a.crl", "b.pem", "b.pem"]
    assert (revocation.check, revocation.grace, revocation.allow_missing) == (Check.CHAIN, 0.0, False)
    assert snapshot.warnings == ()
    assert {folder / "a.crl", folder / "b.pem"} <= set(snapshot.files)


BAD = {
    "empty": (b" ", "the file is empty"),
    "no CRL": (b"not a CRL", "neither PEM nor one DER CRL: the CRL cannot be used"),
    "cut off": (as_pem(make_crl(make_ca()))[:-30], "has no END line"),
    "a certificate": (pem(make_ca()), "PEM block 1 is a CERTIFICATE; only X509 CRL belongs here"),
}


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD)
@pytest.mark.usefixtures("ca")
def test_a_bad_file_refuses_the_start(config: Path, data: bytes, words: str) -> None:
    """With its name, and the line of the key that named it."""
    write(config.parent / "crl" / "bad.crl", data)
    found = problem(config)
    assert found.startswith("o.yaml:8: trust.cdn.revocation.crl.sources[0]: crl/bad.crl: ")
    assert words in found


def test_a_crl_that_an_anchor_has_not_signed_is_refused(config: Path, ca: Issued) -> None:
    """Altered, or forged: it names the anchor's key, and is not by it."""
    der = bytearray(make_crl(ca, {5: 1}))
    write(config.parent / "crl" / "a.crl", bytes(der).replace(b"\x02\x01\x05", b"\x02\x01\x06", 1))
    assert "CN=CDN has not issued the CRL that bears its name: the CRL's signature does not match" in problem(config)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("crl/", "gone.crl", "gone.crl does not exist"),
        ("crl/", "ftp://pki.example/a.crl", "is not an address to fetch a CRL from"),
        ("crl/", "http://user:pw@pki.example/a.crl", "without a user's name"),
        ("crl/", "cdp", "allow_hosts is missing: name the hosts that certificates may send us to"),
        ("[crl/]", "[crl/]\n        allow_hosts: [pki.example]", "has no meaning where all sources are"),
        ("[crl/]", "[crl/]\n        refresh: 0s", "crl.refresh: must be 1 at least"),
        ("[crl/]", "[crl/]\n        max_size: 300MiB", "crl.max_size: must be"),
        ("[crl/]", "[]", "the list is empty"),
        ("[crl/]", "[crl/]\n        when_stale: soon", "expected deny, allow, or how long an outdated"),
        ("[crl/]", "[crl/]\n        when_missing: maybe", "expected 'deny' or 'allow'"),
        ("check: chain", "check: all", "expected 'chain', 'leaf' or 'none'"),
        ("      crl:\n        sources: [crl/]\n", "", "crl is missing: name the sources of the CRLs"),
        ("crl/]", "crl/]\n        refreshed: 5m", "unknown key; did you mean refresh?"),
        ("check: chain", "ocsp: {}", "ocsp.allow_hosts: allow_hosts is missing: name the hosts of responders"),
        ("check: chain", "ocsp: {responder: ldap://x/}", "ocsp.responder: expected aia, or the address of a"),
        ("check: chain", "ocsp: {allow_hosts: [http://x/]}", "'http://x/' is not a host such as"),
        ("check: chain", 'ocsp: {responder: "http://x/", allow_hosts: [x]}', "has no meaning with a responder's"),
        ("check: chain", "ocsp: {mode: strict, allow_hosts: [x]}", "ocsp.mode: expected 'off', 'soft' or 'hard'"),
        ("check: chain", "ocsp: {timeout: 31s, allow_hosts: [x]}", "ocsp.timeout: must be 30.0 at most"),
        ("check: chain", "ocsp: {refresh: 2d, allow_hosts: [x]}", "ocsp.refresh: must be 86400.0 at most"),
        ("check: chain", "ocsp: {max_age: 0s, allow_hosts: [x]}", "ocsp.max_age: must be more than 0"),
        ("check: chain", "ocsp: {nonce: on, allow_hosts: [x]}", "ocsp.nonce: expected 'off', 'ask' or 'require'"),
        ("check: chain", "ocsp: {digest: md5, allow_hosts: [x]}", "ocsp.digest: expected 'sha1' or 'sha256'"),
        ("      crl:\n        sources: [crl/]\n", "      ocsp: {mode: off}\n", "crl is missing: name the sources"),
    ],
)
def test_a_bad_setting_says_what_is_expected(config: Path, old: str, new: str, words: str) -> None:
    """An empty folder among them."""
    assert words in problem(config, old, new)


@pytest.mark.usefixtures("ca")
def test_a_folder_without_crls_is_refused(config: Path) -> None:
    """A bundle that is to check something has something to check with."""
    assert "crl is a folder without any .crl, .der, .pem file; put the CRL files there" in problem(config)


@pytest.mark.parametrize(
    ("dates", "words"),
    [((NOW - 3 * DAY, NOW - DAY), "out of date since 2027-01-14"), ((NOW + DAY, NOW + 2 * DAY), "not count before")],
)
def test_dates_are_warned_of(config: Path, ca: Issued, dates: tuple[float, float], words: str) -> None:
    """The start is not refused: what is listed stays revoked."""
    write(config.parent / "crl" / "a.crl", make_crl(ca, this_update=dates[0], next_update=dates[1]))
    (warning,) = loaded(config).warnings
    assert words in warning


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("chain\n", "leaf\n", "clients of a revoked intermediate are admitted"),
        ("check: chain", "check: none", "revoked certificates are admitted"),
        ("[crl/]", "[crl/]\n        when_stale: 6h", "a CRL counts beyond its nextUpdate, for 21600 s"),
        ("[crl/]", "[crl/]\n        when_stale: allow", "beyond its nextUpdate, however old it is"),
        ("[crl/]", "[crl/]\n        when_missing: allow", "certificates that no CRL speaks of are admitted"),
    ],
)
def test_every_loosening_is_warned_of(config: Path, ca: Issued, old: str, new: str, words: str) -> None:
    """Once, at its key."""
    write(config.parent / "crl" / "a.crl", make_crl(ca))
    (warning,) = loaded(config, old, new).warnings
    assert words in warning


def test_check_lists_the_crls_with_their_numbers_and_dates(config: Path, ca: Issued) -> None:
    """And says which one is replaced, and which is held against a chain only."""
    for number in (1, 2):
        write(config.parent / "crl" / f"{number}.crl", make_crl(ca, {5: 1}, number=number))
    write(config.parent / "crl" / "other.crl", make_crl(make_ca("Other"), this_update=NOW - 30 * DAY))
    lines: list[str] = []
    check(config, NOW, lines.append)
    text = "\n".join(lines)
    assert "CRL 2 of CN=CDN; entries: 1" in text
    assert "replaced by a newer one" in text
    assert "OUT OF DATE since" in text
    assert "its signature is checked with a chain" in text


def test_crls_are_compiled_into_the_configured_cache(config: Path, ca: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: the next start opens what is there, and a file that went bad in between is made anew."""
    write(config.parent / "crl" / "a.crl", make_crl(ca, {5: 1}))
    config.write_text(TEXT + "cache: {directory: cache}\n")
    first = load(config, 1, NOW, Places())
    (index,) = (config.parent / "cache").iterdir()
    good = index.read_bytes()
    compiled: list[bytes] = []
    monkeypatch.setattr(crl_index, "skeleton_of", lambda der: compiled.append(der) or skeleton_of(der))
    second = load(config, 2, NOW, Places())
    assert compiled == []
    index.unlink()  # what is in force keeps its own
    index.write_bytes(good[:-1])
    third = load(config, 3, NOW, Places())
    assert len(compiled) == 1
    assert index.read_bytes() == good
    for snapshot in (first, second, third):
        revocation = snapshot.bundles["cdn"].revocation
        assert revocation is not None
        (crl,) = revocation.crls.crls
        assert find(crl, crl.issuer_key, 5) is not None


def test_a_cache_that_others_can_write_to_refuses_the_start(config: Path, ca: Issued) -> None:
    """At its key, with what to do; who only asks is warned."""
    write(config.parent / "crl" / "a.crl", make_crl(ca))
    (config.parent / "cache").mkdir()
    (config.parent / "cache").chmod(0o777)
    config.write_text(TEXT + "cache: {directory: cache}\n")
    with pytest.raises(ConfigError, match=r"o\.yaml:14: cache\.directory: .*/cache can be written to .*chmod 700"):
        load(config, 1, NOW, Places())
    assert "for the user of this command" in load(config, 1, NOW).warnings[0]


def test_a_full_disk_is_a_warning(config: Path, ca: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the CRL is in force all the same."""

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    write(config.parent / "crl" / "a.crl", make_crl(ca, {5: 1}))
    config.write_text(TEXT + "cache: {directory: cache}\n")
    monkeypatch.setattr("os.fsync", full)
    snapshot = load(config, 1, NOW, Places())
    assert "No space left on device; each process keeps a copy of" in snapshot.warnings[0]
    assert snapshot.bundles["cdn"].revocation is not None
    assert len(snapshot.bundles["cdn"].revocation.crls.crls[0]) == 1


WHOLE = """\
      ocsp:
        mode: soft
        check: leaf
        responder: aia
        allow_hosts: ["*.pki.example", "pki.corp.example:8080"]
        timeout: 3s
        nonce: off
        digest: sha256
        max_age: 1d
        refresh: 10m
"""


def test_ocsp_alone_asks_no_crls(config: Path) -> None:
    """Every key arrives; what is loosened is said."""
    snapshot = loaded(config, "      crl:\n        sources: [crl/]\n", WHOLE)
    revocation = snapshot.bundles["cdn"].revocation
    assert revocation is not None
    assert (revocation.asks_crls, len(revocation.crls)) == (False, 0)
    hosts = Hosts((Host("*.pki.example"), Host("pki.corp.example", 8080)))
    assert revocation.ocsp == Ocsp(
        Mode.SOFT, Check.LEAF, None, hosts, 3.0, Digest.SHA256, Nonce.OFF, 86400.0, 600.0
    )
    soft, leaf = snapshot.warnings
    assert "trust.cdn.revocation.ocsp.mode: a client that no OCSP responder speaks of is admitted" in soft
    assert "trust.cdn.revocation.ocsp.check: no responder is asked about intermediates" in leaf
    lines: list[str] = []
    check(config, NOW, lines.append)
    (line,) = (line for line in lines if line.startswith("    revocation"))
    assert "OCSP of the responder of each certificate (*.pki.example, pki.corp.example:8080); soft: without" in line


def test_ocsp_falls_strictly_by_default(config: Path, ca: Issued) -> None:
    """Beside CRLs, without a warning; off is as if it were not there."""
    write(config.parent / "crl" / "a.crl", make_crl(ca))
    for added, ocsp in (
        ("ocsp: {responder: 'http://127.0.0.1:8888/x'}", Ocsp(responder="http://127.0.0.1:8888/x")),
        ("ocsp: {mode: off, allow_hosts: [x]}", None),
    ):
        snapshot = loaded(config, "      check: chain\n", f"      {added}\n")
        revocation = snapshot.bundles["cdn"].revocation
        assert revocation is not None
        assert (revocation.ocsp, revocation.asks_crls, snapshot.warnings) == (ocsp, True, ())
