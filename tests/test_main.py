"""The command line: what it answers, where, and with which exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy import __version__
from proxy.__main__ import main
from tests.support.site import public, small_site

ROOT = Path(__file__).parents[1]


def command(*arguments: str, close_output: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the command as a shell would; with ``close_output`` into a pipe that nobody reads."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "proxy", *arguments]
    if not close_output:
        return subprocess.run(line, capture_output=True, text=True, env=environment, check=False, timeout=30)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            line, stdout=writing, stderr=subprocess.PIPE, text=True, env=environment, check=False, timeout=30
        )
    finally:
        os.close(writing)


def test_yes_is_0_no_is_1_and_a_wrong_question_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts tell the three apart."""
    config, _ = small_site(tmp_path, 9)
    asked = ["--host", "origin.test"]
    assert main(["check", str(config)]) == 0
    assert main(["explain", str(config), *asked]) == 1
    assert main(["explain", str(tmp_path / "other.yaml"), *asked]) == 2
    out, err = capsys.readouterr()
    assert "REFUSED (no-certificate)" in out
    assert err == f"{tmp_path}/other.yaml: does not exist\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve"],
        ["run"],
        ["check"],
        ["check", "a.yaml", "b.yaml"],
        ["explain", "a.yaml"],
        ["explain", "a.yaml", "--host", "x", "--at", "tomorrow"],
        ["demo", "--forever"],
    ],
)
def test_wrong_usage_is_2_and_shows_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error; standard output is for answers."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert out == ""
    assert err.startswith("usage: originward")


def test_a_time_that_is_none_is_answered_with_one_that_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the form to write."""
    with pytest.raises(SystemExit):
        main(["explain", "a.yaml", "--host", "x", "--at", "31.12.2027\x1b[2J"])
    err = capsys.readouterr().err
    assert "2027-01-31T12:00:00Z" in err
    assert "\x1b" not in err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """By the name of the command."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"originward {__version__}\n"


@pytest.mark.parametrize("name", ["run", "check", "explain", "demo"])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is what people try first."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: originward {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["run", "check"])
def test_all_problems_are_on_standard_error_each_with_its_place(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several at once, with file, line and key path, and nothing was started."""
    config, _ = small_site(tmp_path, 9, surplus=1, limits={"head": 7, "idle_timeout": "soon"})
    assert main([name, str(config)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert all(line.startswith(f"{config}:") for line in lines)
    for key in ("surplus", "limits.head", "limits.idle_timeout"):
        assert any(f": {key}: " in line for line in lines), key


def test_a_reader_that_has_gone_is_no_traceback(tmp_path: Path) -> None:
    """As with ``originward check CONFIG | head -1``."""
    config, _ = small_site(tmp_path, 9, public())
    ended = command("check", str(config), close_output=True)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """``python -m proxy`` is what containers without the script, and these tests, call."""
    config, _ = small_site(tmp_path, 9)
    ended = command("check", str(config))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{config} is good")
