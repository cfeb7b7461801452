"""References: what one part of the configuration says of another, checked on the plain values.

The models check each part alone, and stop at the first part that is wrong. These checks run beside them, on
whatever has the right shape, so that one reading shows all problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from proxy.snapshot.config import suggestion
from proxy.snapshot.document import Document
from proxy.snapshot.fields import is_address, parse_host_name
from proxy.snapshot.problems import KeyPath, Problem

_Found = tuple[KeyPath, object]
"""A value and the path that it was found at."""


def check_references(document: Document) -> Iterator[Problem]:
    """Yield a problem for each name that leads nowhere, and for each that is taken already."""
    hosts = list(_entries(document.values, (), "hosts"))
    yield from _dangling(document, hosts)
    yield from _repeated(document, _host_names(hosts), "the host name is taken")
    yield from _repeated(document, _listeners(document), "the address is taken")
    yield from _repeated(document, _defaults(hosts), "there is one default host at most; another is given")
    yield from _unreachable_addresses(document, hosts)
    for path, host in hosts:
        yield from _repeated(document, _route_paths(path, host), "the path is taken (with or without a final slash)")


def _dangling(document: Document, hosts: list[_Found]) -> Iterator[Problem]:
    for host_path, host in hosts:
        for path, route in _entries(host, host_path, "routes"):
            for key, table in (("trust", "trust"), ("upstream", "upstreams")):
                name, known = _get(route, key), _get(document.values, table)
                if isinstance(name, str) and not (isinstance(known, dict) and name in known):
                    hint = suggestion(name, known) if isinstance(known, dict) else ""
                    yield document.problem((*path, key), f"{table} has no entry {name}{hint}")


def _repeated(document: Document, found: Iterator[tuple[KeyPath, str]], message: str) -> Iterator[Problem]:
    first: dict[str, KeyPath] = {}
    for path, value in found:
        if value in first:
            yield document.problem(path, f"{message} on line {document.line(first[value])}")
        else:
            first[value] = path


def _unreachable_addresses(document: Document, hosts: list[_Found]) -> Iterator[Problem]:
    for path, host in hosts:
        if _get(host, "default") is True:
            continue
        for name_path, name in _host_names([(path, host)]):
            if is_address(name):
                message = "an address is never sent as SNI (RFC 6066), so only the host with default: true can have one"
                yield document.problem(name_path, message)


def _host_names(hosts: list[_Found]) -> Iterator[tuple[KeyPath, str]]:
    for path, host in hosts:
        yield from _parsed(_entries(host, path, "names"), parse_host_name)


def _listeners(document: Document) -> Iterator[tuple[KeyPath, str]]:
    for path, entry in _entries(document.values, (), "listen"):
        address = _get(entry, "address")
        if isinstance(address, str) and not address.endswith(":0"):
            yield (*path, "address"), address


def _defaults(hosts: list[_Found]) -> Iterator[tuple[KeyPath, str]]:
    for path, host in hosts:
        if _get(host, "default") is True:
            yield (*path, "default"), "default"


def _route_paths(path: KeyPath, host: object) -> Iterator[tuple[KeyPath, str]]:
    for route_path, route in _entries(host, path, "routes"):
        value = _get(route, "path")
        if isinstance(value, str):
            yield (*route_path, "path"), value.rstrip("/")


def _parsed(found: Iterator[_Found], parse: Callable[[str], str]) -> Iterator[tuple[KeyPath, str]]:
    """Yield what parses; the models report the rest."""
    for path, value in found:
        try:
            if isinstance(value, str):
                yield path, parse(value)
        except ValueError:
            continue


def _entries(value: object, path: KeyPath, key: str) -> Iterator[_Found]:
    entries = _get(value, key)
    if isinstance(entries, list):
        for place, entry in enumerate(entries):
            yield (*path, key, place), entry


def _get(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, Mapping) else None
