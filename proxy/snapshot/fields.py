"""Field types of the configuration models: each parses its text once, and says what it expects where it cannot.

Paths are made absolute with the validation context's ``base``, the folder of the configuration file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, Strict, StringConstraints, ValidationInfo

from proxy.decide.peer.hosts import Host, parse_host, place_of
from proxy.decide.request.route import normalise_host
from proxy.decide.units import parse_duration, parse_instant, parse_size
from proxy.snapshot.address import Address, parse_listen, parse_server

OFF: Final = "off"

CDP: Final = "cdp"
"""A source of CRLs: the distribution points that clients' certificates name."""

_GRACES: Final[Mapping[str, float]] = {"deny": 0.0, "allow": inf}
MAX_RATE: Final = 100_000
"""Handshakes a second: more than a machine can do; a larger number is a slip."""

AUTO: Final = "auto"
MAX_WORKERS: Final = 256
"""Processes: more than any machine has use for; each of them has every listening socket open."""

_T = TypeVar("_T")
_K = TypeVar("_K")


def _text(parse: Callable[[str], _T]) -> Callable[[object], _T]:
    """Make a validator of a parser of text."""

    def validate(value: object) -> _T:
        if not isinstance(value, str):
            raise ValueError("expected text; quote it")  # noqa: TRY004 - pydantic collects ValueError only
        return parse(value)

    return validate


def _base(info: ValidationInfo) -> Path:
    context: Mapping[str, Path] = info.context or {}
    return context.get("base", Path())


def _path(value: object, info: ValidationInfo) -> Path:
    text = _text(str)(value)
    if not text:
        raise ValueError("expected the path of a file or folder")
    return _base(info) / text


def _crl_source(value: object, info: ValidationInfo) -> Path | str:
    """Take a path, an address or ``cdp``. An address that is none is an error, not the name of a missing file."""
    if not isinstance(value, str) or ("://" not in value and value != CDP):
        return _path(value, info)
    if value != CDP and place_of(value) is None:
        raise ValueError(
            f"{value!a} is not an address to fetch a CRL from: expected one such as http://pki.example/ca.crl, "
            "without a user's name"
        )
    return value


def _responder(value: object) -> str | None:
    if value == "aia":
        return None
    if not isinstance(value, str) or place_of(value) is None:
        raise ValueError("expected aia, or the address of a responder, such as http://ocsp.pki.example/")
    return value


def _grace(value: object) -> float:
    if not isinstance(value, str) or value not in _GRACES:
        try:
            return parse_duration(value)  # type: ignore[arg-type]  # it takes any object
        except ValueError as fault:
            raise ValueError("expected deny, allow, or how long an outdated CRL still counts, such as 6h") from fault
    return _GRACES[value]


def _server(value: object, info: ValidationInfo) -> Address:
    return parse_server(_text(str)(value), _base(info))


def _log_target(value: object, info: ValidationInfo) -> Path | None:
    return None if value == "stdout" else _path(value, info)


def _admin(text: str) -> Address | None:
    return None if text == OFF else parse_listen(text)


def _rate(value: object) -> float | None:
    if value == OFF:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_RATE:
        raise ValueError(f"expected handshakes per second, such as 20, or {OFF}")
    return float(value)


def _workers(value: object) -> int | None:
    if value == AUTO:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_WORKERS:
        raise ValueError(f"expected a number of processes from 1 to {MAX_WORKERS}, or {AUTO} for one per CPU")
    return value


def parse_host_name(text: str) -> str:
    """Return a host name as it is compared; ``*.`` in front stands for one label. Raises ValueError."""
    wildcard = text.startswith("*.")
    rest = text[2:] if wildcard else text
    if rest.startswith("["):
        return _bracketed(text)
    name = None if ":" in rest else normalise_host(rest)
    if name is None:
        raise ValueError(
            f"{text!a} is not a host name: expected one such as www.example.com or *.example.com, without a port; "
            "international names in their xn-- form"
        )
    if wildcard and is_address(name):
        raise ValueError(f"{text!a}: an address has no labels to stand in for")
    return "*." + name if wildcard else name


def _bracketed(text: str) -> str:
    try:
        address = ip_address(text[1:-1]) if text.endswith("]") else None
    except ValueError:
        address = None
    if address is None or str(address) != text[1:-1].lower() or address.version != 6:  # noqa: PLR2004 - IPv6
        raise ValueError(f"{text!a} is not an IPv6 address in brackets in its shortest form, such as [2001:db8::1]")
    return text.lower()


def is_address(name: str) -> bool:
    """Tell whether a normalised host name is an IP address (which no client sends as SNI: RFC 6066, section 3)."""
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


_PATH_FAULTS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\A(?!/)"), "a path starts with a slash"),
    (re.compile(r"[?#]"), "a path has no query (?) and no fragment (#)"),
    (re.compile(r"%"), "a path is written in plain text, without percent-encoding"),
    (re.compile(r"\\"), "a path has no backslash: apps disagree about its meaning"),
    (re.compile(r";"), "a path has no parameters (;): apps that cut them off would see another path"),
    (re.compile(r"//"), "a path has no empty segment (//)"),
    (re.compile(r"/\.{1,2}(?:/|\Z)"), "a path has no dot segments (/./ or /../)"),
)


def parse_route_path(text: str) -> str:
    """Check a route's path: what is written is what the decoded path of a request is compared with."""
    if not text.isprintable():
        raise ValueError("a path is printable text")
    for pattern, message in _PATH_FAULTS:
        if pattern.search(text):
            raise ValueError(f"{text!a}: {message}")
    return text


class Frozen(Mapping[_K, _T]):
    """A mapping that nobody changes, and that can be pickled, as ``MappingProxyType`` cannot."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[_K, _T] = MappingProxyType({})) -> None:
        self._items = dict(items)

    def __getitem__(self, key: _K) -> _T:
        return self._items[key]

    def __iter__(self) -> Iterator[_K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


def _not_empty(value: tuple[_T, ...]) -> tuple[_T, ...]:
    """Ask for an entry. Pydantic's own ``min_length`` counts only the good ones, and complains twice."""
    if not value:
        raise ValueError("the list is empty; at least one entry is needed")
    return value


Name = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\z")]
"""A bundle's or an upstream's name: it becomes a label in logs and metrics."""

Count = Annotated[int, Field(ge=0)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
Instant = Annotated[float, BeforeValidator(parse_instant)]
Size = Annotated[int, BeforeValidator(parse_size)]
WorkerCount = Annotated[int | None, PlainValidator(_workers)]
Rate = Annotated[float | None, PlainValidator(_rate)]
FilePath = Annotated[Path, PlainValidator(_path)]
CrlSource = Annotated[Path | str, PlainValidator(_crl_source)]
Grace = Annotated[float, PlainValidator(_grace)]
FetchHost = Annotated[Host, PlainValidator(_text(parse_host))]
Responder = Annotated[str | None, PlainValidator(_responder)]
LogTarget = Annotated[Path | None, PlainValidator(_log_target)]
ListenAddress = Annotated[Address, PlainValidator(_text(parse_listen))]
AdminAddress = Annotated[Address | None, PlainValidator(_text(_admin))]
ServerAddress = Annotated[Address, PlainValidator(_server)]
HostName = Annotated[str, PlainValidator(_text(parse_host_name))]
RoutePath = Annotated[str, PlainValidator(_text(parse_route_path))]

List = Annotated[tuple[_T, ...], Strict(False)]
"""A YAML list; strict mode would ask for a Python tuple."""

Some = Annotated[tuple[_T, ...], Strict(False), AfterValidator(_not_empty)]
"""A list that is not empty."""

Table = Annotated[Mapping[Name, _T], AfterValidator(Frozen)]
"""A mapping of names, frozen once it is read."""
