"""Saved answers: explain says who would be asked, and judges by responses out of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from proxy.operate.explain import explain_command
from proxy.snapshot.problems import ConfigError
from tests.support.certificates import NOW, make_ca, make_leaf
from tests.support.furnish import furnish, pem, write
from tests.support.ocsp import GOOD, REVOKED, UNKNOWN, URL, Single, respond, responder_named, unsuccessful

TEXT: Final = """\
listen: [{address: "127.0.0.1:0"}]
trust:
  cdn:
    anchors: [cdn.pem]
    revocation:
      ocsp: {mode: hard, allow_hosts: [ocsp.pki.example]}
upstreams: {app: {servers: ["http://127.0.0.1:9000"]}}
hosts:
  - names: [a.example]
    certificate: {chain: tls/a.pem, key: tls/a.key}
    routes: [{path: /, trust: cdn, upstream: app}]
"""
ROOT = make_ca("CDN")
MIDDLE = make_ca("Middle", ROOT, extensions=[responder_named()])
LEAF = make_leaf(MIDDLE, extensions=[responder_named()])
RESPONSES: Final = {
    "good": respond(Single(MIDDLE, LEAF)),
    "revoked": respond(Single(MIDDLE, LEAF, REVOKED)),
    "unknown": respond(Single(MIDDLE, LEAF, UNKNOWN)),
    "above": respond(Single(ROOT, MIDDLE, GOOD)),
    "refusal": unsuccessful(6),
}
ASKED: Final = f"an OCSP answer of {URL}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a configuration that asks OCSP, what it names, a chain, and responses."""
    folder = tmp_path_factory.mktemp("saved")
    file = write(folder / "hard.yaml", TEXT.encode())
    furnish(file)
    write(folder / "soft.yaml", TEXT.replace("hard", "soft").encode())
    write(folder / "cdn.pem", pem(ROOT))
    write(folder / "chain.pem", pem(LEAF) + pem(MIDDLE))
    for name, response in RESPONSES.items():
        write(folder / name, response)
    return folder


def explained(folder: Path, *saved: str, mode: str = "hard") -> tuple[int, Any]:
    """Explain the client; return the exit status and the answer."""
    said: list[str] = []
    files = [folder / name for name in saved]
    status = explain_command(
        folder / f"{mode}.yaml", folder / "chain.pem", "a.example", "/", NOW, json=True, write=said.append, ocsp=files
    )
    return status, msgspec.json.decode("\n".join(said))


@pytest.mark.parametrize(
    ("saved", "reason", "asked"),
    [
        ((), "ocsp-unavailable", 2),
        (("good", "above"), None, 0),
        (("above", "good"), None, 0),
        (("revoked", "above"), "revoked", 0),
        (("above", "unknown"), "ocsp-unknown", 0),
        (("good",), "ocsp-unavailable", 0),
        (("refusal",), "ocsp-unavailable", 0),
        (("chain.pem",), "ocsp-unavailable", 0),
    ],
)
def test_a_client_is_judged_by_saved_responses(
    folder: Path, saved: tuple[str, ...], reason: str | None, asked: int
) -> None:
    """In any order; without any, the answer is the one without an answer, and says who would be asked."""
    status, answer = explained(folder, *saved)
    assert (status, answer["reason"]) == (0 if reason is None else 1, reason)
    assert answer["awaits"] == [ASKED] * asked


def test_what_is_wrong_with_a_response_is_said(folder: Path) -> None:
    """Of the one that was meant, with its file."""
    _, answer = explained(folder, "refusal", "above")
    detail = answer["steps"][-1]["detail"]
    assert "no OCSP answer from" in detail
    assert "/refusal: responder-error: the responder answers unauthorized" in detail


def test_soft_admits_and_says_who_would_be_asked(folder: Path) -> None:
    """A running proxy would have waited for it."""
    status, answer = explained(folder, mode="soft")
    assert (status, answer["admitted"], answer["awaits"]) == (0, True, [ASKED] * 2)
    status, answer = explained(folder, "revoked", mode="soft")
    assert (status, answer["reason"]) == (1, "revoked")


def test_the_text_says_how_to_give_an_answer(folder: Path) -> None:
    """For whoever has the response at hand."""
    said: list[str] = []
    explain_command(folder / "hard.yaml", folder / "chain.pem", "a.example", "/", NOW, json=False, write=said.append)
    assert said[-3].startswith("that is without what a running proxy would ask for first (--ocsp takes")
    assert said[-2:] == [f"  {ASKED}"] * 2


def test_a_file_that_cannot_be_read_is_a_wrong_question(folder: Path) -> None:
    """Exit status 2, with its name."""
    with pytest.raises(ConfigError, match="gone: does not exist"):
        explained(folder, "gone")
