"""The demo believes nothing: each way to miss what was expected is a fault of its row."""

from __future__ import annotations

import json
import sys

import pytest

from proxy.decide.verdict import Reason
from proxy.operate.demo.cases import CASES, FORGED, Case
from proxy.operate.demo.client import Alert, Answer, Broken, Request
from proxy.operate.demo.demo import Row, fault_of, free_ports, own_command, table


def body(*fields: tuple[str, str]) -> bytes:
    """Return what the app answers when it saw these fields."""
    return json.dumps({"headers": fields}).encode()


REFUSED = Case(title="t", client=None, request=Request(path="/"), expected=403, reason=Reason.NO_CERTIFICATE)
ALERTED = Case(title="t", client="x", request=Request(path="/"), expected=Alert("unknown_ca"), reason=Reason.EXPIRED)
ANONYMOUS = Case(title="t", client=None, request=Request(path="/"), expected=200)
KNOWN = Case(title="t", client="cdn", request=Request(path="/"), expected=200, seen_as="cdn")


@pytest.mark.parametrize(
    ("case", "got", "logged", "identity"),
    [
        (REFUSED, Answer(403, b"forbidden"), "no-certificate", None),
        (ALERTED, Alert("unknown_ca"), "expired", None),
        (ANONYMOUS, Answer(200, body(("Host", "a"))), "-", None),
        (KNOWN, Answer(200, body(("Client-Cert", ":me:"))), "-", ":me:"),
    ],
)
def test_what_was_expected_is_no_fault(case: Case, got: Answer | Alert, logged: str, identity: str | None) -> None:
    """The right answer, the right word in the log, the right identity at the app."""
    assert fault_of(case, got, logged, identity) is None


@pytest.mark.parametrize(
    ("case", "got", "logged", "identity", "fault"),
    [
        (REFUSED, Answer(200, b""), "-", None, "expected 403, got 200"),
        (REFUSED, Answer(403, b""), "no-route", None, "says no-route"),
        (REFUSED, Answer(403, b""), "(no line)", None, "says (no line)"),
        (ALERTED, Alert("bad_certificate"), "expired", None, "got alert bad_certificate"),
        (ALERTED, Broken("reset"), "expired", None, "got reset"),
        (ANONYMOUS, Answer(200, body(("X", f":{FORGED}:"))), "-", None, "forged identity"),
        (ANONYMOUS, Answer(200, body(("client_cert", ":me:"))), "-", None, "saw Client-Cert"),
        (ANONYMOUS, Answer(200, body()), "no-certificate", None, "says no-certificate"),
        (KNOWN, Answer(200, body()), "-", ":me:", "saw Client-Cert []"),
        (KNOWN, Answer(200, body(("Client-Cert", ":other:"))), "-", ":me:", "saw Client-Cert"),
        (KNOWN, Answer(200, body(("Client-Cert", ":me:"), ("client-cert", ":me:"))), "-", ":me:", "saw Client-Cert"),
    ],
)
def test_what_was_not_expected_is_a_fault(
    case: Case, got: Answer | Alert | Broken, logged: str, identity: str | None, fault: str
) -> None:
    """Status, alert, log and identity each can spoil a row."""
    assert fault in (fault_of(case, got, logged, identity) or "")


def test_the_table_marks_what_failed_and_counts_the_rest() -> None:
    """The reader finds the bad row and what was wrong with it."""
    good = Row(ANONYMOUS, Answer(200, b""), "-", None)
    bad = Row(REFUSED, Answer(200, b""), "-", "expected 403, got 200")
    assert list(table([good, bad])) == [
        "      request  expected  got  reason logged",
        "ok    t: /     200       200  -",
        "FAIL  t: /     403       200  -",
        "      expected 403, got 200",
        "1 of 2 as expected",
    ]


def test_an_admitted_row_expects_no_reason_and_a_refused_one_does() -> None:
    """The table of cases keeps its own rule."""
    assert all((case.expected == 200) == (case.reason is None) for case in CASES)


def test_free_ports_differ() -> None:
    """Two listeners cannot share one."""
    assert len(set(free_ports(4))) == 4


@pytest.mark.parametrize(
    ("started_as", "command"),
    [
        ("/opt/my tools/originward", "'/opt/my tools/originward'"),
        (".venv/bin/originward", ".venv/bin/originward"),
        ("/x/proxy/__main__.py", f"{sys.executable} -m proxy"),
    ],
)
def test_the_commands_to_try_start_what_is_running(
    started_as: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment's command is seldom on the PATH."""
    monkeypatch.setattr(sys, "argv", [started_as, "demo"])
    assert own_command() == command
