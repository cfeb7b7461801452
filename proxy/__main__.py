"""The command line. Exit 0 = yes, 1 = the answer is no, 2 = the question is wrong."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from proxy import __version__, app
from proxy.operate.check import check
from proxy.operate.demo.demo import run_demo
from proxy.operate.explain import explain_command
from proxy.operate.reload import reload_command
from proxy.snapshot.address import Address, parse_listen
from proxy.snapshot.problems import ConfigError

USAGE_ERROR: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ConfigError as fault:
        print(fault, file=sys.stderr)  # noqa: T201 - this is the command line
    except BrokenPipeError:  # nobody reads on: `originward check CONFIG | head`
        sys.stdout = None  # or the interpreter complains as it flushes
        return 1
    except OSError as fault:
        words = fault.strerror or str(fault)
        print(f"originward: {words if fault.filename is None else f'{fault.filename}: {words}'}", file=sys.stderr)  # noqa: T201
    return USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="originward",
        description="An origin-side mTLS verifying reverse proxy: this client, this route, or nothing.",
        epilog="Exit status: 0 yes, 1 the answer is no, 2 bad configuration, file or usage.",
    )
    parser.add_argument("--version", action="version", version=f"originward {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "run", "serve a configuration", lambda options: app.run(options.config))
    _add(commands, "check", "load a configuration with all its files and show what it comes to", _check)
    _add_explain(commands)
    _add_reload(commands)
    demo = commands.add_parser("demo", help="send real requests through a real proxy and show what came of each")
    demo.add_argument("--keep", action="store_true", help="stay up afterwards, and print curl commands to try")
    demo.set_defaults(command=lambda options: run_demo(options.keep, partial(print, flush=True)))
    return parser


def _add(commands: Any, name: str, text: str, command: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the configuration file (YAML)")
    parser.set_defaults(command=command)
    return parser


def _add_explain(commands: Any) -> None:
    parser = _add(commands, "explain", "show every step of the judgement of one client at one route", _explain)
    parser.add_argument("--cert", type=Path, metavar="CHAIN", help="the client's chain, leaf first (default: none)")
    parser.add_argument("--host", required=True, help="the server name that the client asks for")
    parser.add_argument("--path", default="/", help="the path that it asks for (default: /)")
    parser.add_argument("--at", type=_moment, default=None, metavar="TIME", help="ISO 8601, in UTC (default: now)")
    parser.add_argument(
        "--ocsp", type=Path, action="append", default=[], metavar="RESPONSE",
        help="an OCSP response (DER), as openssl ocsp -respout writes it; may be given several times",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def _add_reload(commands: Any) -> None:
    parser = _add(commands, "reload", "make the running proxy read its files again, and say what came of it", _reload)
    parser.add_argument("--admin", type=_address, metavar="ADDRESS", help="its admin address (default: the configured)")


def _reload(options: argparse.Namespace) -> int:
    return reload_command(options.config, options.admin, print)


def _address(text: str) -> Address:
    try:
        return parse_listen(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None


def _check(options: argparse.Namespace) -> int:
    return check(options.config, time.time(), print)


def _explain(options: argparse.Namespace) -> int:
    at = time.time() if options.at is None else options.at
    return explain_command(
        options.config, options.cert, options.host, options.path, at,
        json=options.json, write=print, ocsp=options.ocsp,
    )  # fmt: skip


def _moment(text: str) -> float:
    """Read a time; one without an offset is in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        expected = "write it like 2027-01-31 or 2027-01-31T12:00:00Z"
        raise argparse.ArgumentTypeError(f"{text!a} is no time; {expected}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


if __name__ == "__main__":
    sys.exit(main())
