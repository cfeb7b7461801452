"""Inventory: what a configuration comes to, part by part, as a person would name the parts.

It is what two generations are told apart by. Settings are listed by their fields, so that one that is new to the
models is in the inventory without a line here.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import BaseModel

from proxy.decide.facts import Certificate
from proxy.decide.peer.policy.pins import Pin
from proxy.snapshot.config import Config, HostConfig, RouteConfig
from proxy.snapshot.prepared import PreparedBundle

Entry = tuple[str, str, str, str]
"""Kind, name, what is shown of it, and a digest of all of it."""

Inventory = Mapping[tuple[str, str], tuple[str, str]]
"""What is shown and the digest, by kind and name."""

_TABLES: Final = frozenset({"hosts", "trust", "upstreams", "limits"})
_DIGEST: Final = 16
"""Digits of a digest that are shown."""


def take_inventory(
    config: Config,
    bundles: Sequence[tuple[PreparedBundle, tuple[Certificate, ...]]],
    chains: Sequence[tuple[Certificate, ...]],
) -> bytes:
    """List the parts of a configuration, with its bundles and their anchors, and the chains of its hosts; packed."""
    entries = [
        *_settings(config),
        *(entry for bundle, anchors in bundles for entry in _bundle(bundle, anchors)),
        *(entry for host, chain in zip(config.hosts, chains, strict=True) for entry in _host(host, chain)),
    ]
    return pickle.dumps({(kind, name): (shown, digest) for kind, name, shown, digest in entries}, protocol=5)


def read_inventory(packed: bytes) -> Inventory:
    """Unpack an inventory."""
    inventory: Inventory = pickle.loads(packed)  # noqa: S301 - packed by this program
    return inventory


def _settings(config: Config) -> Iterator[Entry]:
    for name, value in config:
        if name not in _TABLES:
            yield from (_entry("setting", f"{name}.{key}", text) for key, text in _fields(value))
    yield from (_entry("limit", key, text) for key, text in _fields(config.limits))
    for name, upstream in config.upstreams.items():
        yield _entry("upstream", name, _written(upstream))


def _fields(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        yield from ((key, _text(part)) for key, part in value)
    elif isinstance(value, tuple):
        yield from ((str(place), _written(part)) for place, part in enumerate(value))


def _bundle(bundle: PreparedBundle, anchors: tuple[Certificate, ...]) -> Iterator[Entry]:
    yield _entry("bundle", bundle.name, _written(bundle.config, {"anchors"}))
    windows = dict(bundle.windows)
    for anchor in anchors:
        window = windows.get(anchor.fingerprint)
        yield _entry("anchor", f"{bundle.name}: {_named(anchor)}", "" if window is None else f"trusted {window}")
    if bundle.revocation is not None:
        for place, crl in enumerate(bundle.revocation.crls, 1):
            yield _entry("crl", f"{bundle.name}: {crl.source} ({place})", f"sha256:{crl.ref.digest[:_DIGEST]}")
        for issuer in bundle.revocation.issuers:
            yield _entry("crl issuer", f"{bundle.name}: sha256:{hashlib.sha256(issuer).hexdigest()}", "")


def _host(host: HostConfig, chain: tuple[Certificate, ...]) -> Iterator[Entry]:
    name = host.names[0]
    yield _entry("host", name, _written(host, {"certificate", "routes"}))
    yield _entry("certificate", name, _named(chain[0]), "".join(cert.fingerprint for cert in chain))
    for route in host.routes:
        yield from _route(name + route.path, route)


def _route(place: str, route: RouteConfig) -> Iterator[Entry]:
    yield _entry("route", place, _written(route, {"path", "policy"}))
    for rule in route.policy:
        yield _entry("policy", f"{place} {rule.key}", str(rule), repr(rule))
        for pin in getattr(rule, "pins", ()):
            if isinstance(pin, Pin):
                yield _entry("pin", f"{place} {rule.key} {pin}", "")


def _entry(kind: str, name: str, shown: str, whole: str | None = None) -> Entry:
    return kind, name, shown, hashlib.sha256((shown if whole is None else whole).encode(errors="replace")).hexdigest()


def _named(cert: Certificate) -> str:
    return f"{cert.subject} sha256:{cert.fingerprint}"


def _written(model: object, without: frozenset[str] | set[str] = frozenset()) -> str:
    """Write a model's fields in one line."""
    if not isinstance(model, BaseModel):
        return _text(model)
    return ", ".join(f"{key}: {_text(value)}" for key, value in model if key not in without)


def _text(value: object) -> str:
    match value:
        case tuple():
            return f"[{', '.join(map(_text, value))}]"
        case BaseModel():
            return f"{{{_written(value)}}}"
        case _:
            return str(value)
