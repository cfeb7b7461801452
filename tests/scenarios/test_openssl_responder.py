"""OpenSSL's own CA and responder: what `openssl ca` revokes, `openssl ocsp` says, and it is understood."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from proxy.decide.facts import read_certificate
from proxy.decide.peer.answers import Answer, Failure, Fault, Outcome
from proxy.decide.peer.needs import Nonce, OcspNeed
from tests.support.asker import Asker, asking

CONFIG: Final = """
[ca]
default_ca = own
[own]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_days = 30
policy = any
[any]
commonName = supplied
[client]
extendedKeyUsage = clientAuth
[responder]
keyUsage = digitalSignature
extendedKeyUsage = OCSPSigning
noCheck = yes
"""


def openssl(folder: Path, command: str) -> str:
    """Run OpenSSL's command in a folder."""
    done = subprocess.run(["openssl", *command.split()], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def issue(folder: Path, name: str, section: str) -> None:
    """Let the CA issue a certificate."""
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    openssl(folder, f"req -new {key} -keyout {name}.key -out {name}.csr -subj /CN={name}")
    openssl(folder, f"ca -config ca.cnf -batch -notext -in {name}.csr -out {name}.pem -extensions {section}")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a CA with a delegated responder and two clients, of which one is revoked."""
    folder = tmp_path_factory.mktemp("ca")
    (folder / "ca.cnf").write_text(CONFIG.format(folder=folder))
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("1000\n")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    openssl(folder, f"req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=own")
    issue(folder, "responder", "responder")
    issue(folder, "good", "client")
    issue(folder, "bad", "client")
    openssl(folder, "ca -config ca.cnf -revoke bad.pem -crl_reason keyCompromise")
    return folder


@contextmanager
def responding(folder: Path, signer: str = "responder", index: str = "index.txt") -> Iterator[str]:
    """Run `openssl ocsp` as a responder on a free port, and return its address."""
    command = f"openssl ocsp -port 0 -index {index} -CA ca.pem -rsigner {signer}.pem -rkey {signer}.key -ndays 1"
    process = subprocess.Popen(
        command.split(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip
    assert process.stdout is not None
    try:
        seen = ""
        while (found := re.search(r"ACCEPT \S*?:(\d+)\b", seen)) is None:
            line = process.stdout.readline()
            assert line, seen
            seen += line
        yield f"http://localhost:{found[1]}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def need(folder: Path, name: str, url: str, *, digest: str = "sha1", nonce: Nonce = Nonce.ASK) -> OcspNeed:
    """Make the question about a client."""
    der = {who: read_certificate(_der(folder, who)) for who in (name, "ca")}
    return OcspNeed(
        bundle="own", urls=(url,), certificate=der[name].der, issuer=der["ca"].der, fingerprint=der[name].fingerprint,
        depth=0, digest=digest, nonce=nonce, max_age=None, timeout=10.0,
    )  # fmt: skip


def _der(folder: Path, name: str) -> bytes:
    done = subprocess.run(
        ["openssl", "x509", "-in", f"{name}.pem", "-outform", "DER"], cwd=folder, capture_output=True, check=True
    )  # fmt: skip
    return done.stdout


def ask(needs: list[OcspNeed], folder: Path) -> list[Outcome]:
    """Ask now."""

    async def work(asker: Asker) -> list[Outcome]:
        asker.now = time.time()
        return [(await asker.ask(one))[0] for one in needs]

    return asking(work, folder)


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
@pytest.mark.parametrize("nonce", list(Nonce))
def test_what_the_ca_revokes_its_responder_says(authority: Path, tmp_path: Path, nonce: Nonce, digest: str) -> None:
    """By GET and POST, with a nonce and without, by a delegate."""
    with responding(authority) as url:
        needs = [need(authority, name, url, digest=digest, nonce=nonce) for name in ("good", "bad")]
        good, bad = ask(needs, tmp_path)
    assert isinstance(good, Answer)
    assert isinstance(bad, Answer)
    assert (good.status, good.reason) == ("good", None)
    assert (bad.status, bad.reason) == ("revoked", "keyCompromise")
    assert "CN=responder" in good.responder


def test_a_certificate_that_it_does_not_know_is_unknown(authority: Path, tmp_path: Path) -> None:
    """It was issued, and is in nobody's index."""
    (authority / "empty.txt").write_text("")
    with responding(authority, index="empty.txt") as url:
        (outcome,) = ask([need(authority, "good", url)], tmp_path)
    assert isinstance(outcome, Answer)
    assert outcome.status == "unknown"


def test_a_client_may_not_answer(authority: Path, tmp_path: Path) -> None:
    """Its certificate lacks OCSPSigning."""
    with responding(authority, signer="good") as url:
        (outcome,) = ask([need(authority, "bad", url)], tmp_path)
    assert isinstance(outcome, Failure)
    assert outcome.fault is Fault.WRONG_SIGNER
