"""The configuration: frozen, typed models of the YAML file. Unknown keys are errors.

Each field that has a default says why it is that one; ``docs/configuration.md`` is the same for readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainValidator, Strict, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from proxy.decide.peer.policy.rule import Rule
from proxy.decide.peer.policy.rules import RULES
from proxy.decide.request.route import ClientCertificate, OnWithdrawal
from proxy.decide.request.stamp import DEFAULT_FAMILY, FAMILIES
from proxy.snapshot.address import Address
from proxy.snapshot.config_trust import TrustConfig
from proxy.snapshot.fields import (
    AdminAddress,
    Count,
    Duration,
    FilePath,
    Frozen,
    HostName,
    List,
    ListenAddress,
    LogTarget,
    Name,
    RoutePath,
    ServerAddress,
    Size,
    Some,
    Table,
    WorkerCount,
)
from proxy.snapshot.limits import DAY, Limits
from proxy.snapshot.part import Part

MAX_IDLE: Final = 256
"""Kept-alive connections to one server: a few times what 32 busy clients use, and cheap for the app to hold."""

IDLE_TIMEOUT: Final = 55.0
"""Seconds that an upstream connection is kept idle: just below the 60 s after which many app servers close it."""

MAX_CONNECTIONS: Final = 4096
"""Connections to one server at a time; beyond it, clients get 503 rather than the app a flood."""

ADMIN: Final = Address("127.0.0.1", 9901)
"""On loopback: the admin page has no authentication of its own."""


class ListenConfig(Part):
    """One address to accept connections on."""

    address: ListenAddress


class UpstreamConfig(Part):
    """An app: its servers, which take requests in turn, and the connections kept to each of them."""

    servers: Some[ServerAddress]
    max_idle: Count = MAX_IDLE
    idle_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = IDLE_TIMEOUT
    max_connections: Annotated[Count, Field(ge=1)] = MAX_CONNECTIONS


class CertificateConfig(Part):
    """What a host presents: its certificate with its issuers, and the leaf's private key."""

    chain: FilePath
    key: FilePath


def _policy(value: object) -> tuple[Rule, ...]:
    """Make the rules of a policy, in the order of the table; every bad one is reported under its own key."""
    if not isinstance(value, dict) or not value:
        raise ValueError("expected rules, such as san_dns; leave policy out to admit every client of the bundle")
    rules: dict[str, Rule] = {}
    errors: list[InitErrorDetails] = []
    for key, setting in value.items():
        try:
            rules[key] = _rule(key, setting)
        except ValueError as fault:
            kind = PydanticCustomError("rule", "{text}", {"text": str(fault)})
            errors.append(InitErrorDetails(type=kind, loc=(key,), input=None))
    if errors:
        raise ValidationError.from_exception_data("policy", errors, hide_input=True)
    return tuple(rules[key] for key in RULES if key in rules)


def _rule(key: str, setting: object) -> Rule:
    if key not in RULES:
        raise ValueError(f"unknown rule{suggestion(key, RULES)}")
    return RULES[key].from_setting(setting)


def _family(value: object) -> str:
    if not isinstance(value, str) or value not in FAMILIES:
        hint = suggestion(value, FAMILIES) if isinstance(value, str) else f"; known here: {', '.join(FAMILIES)}"
        raise ValueError(f"unknown family of identity headers{hint}")
    return value


def suggestion(word: str, known: Mapping[str, object]) -> str:
    """Return what to add to "unknown …": the nearest known word, if one is near, and all of them."""
    near = get_close_matches(word, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"{meant}; known here: {', '.join(known)}" if known else meant


class RouteConfig(Part):
    """One path prefix of a host: who may reach it, and where it leads."""

    path: RoutePath
    client_certificate: Annotated[ClientCertificate, Strict(False)] = ClientCertificate.REQUIRED
    trust: Annotated[Name | None, Field(validate_default=True)] = None
    policy: Annotated[tuple[Rule, ...], PlainValidator(_policy)] = ()
    upstream: Name
    identity_headers: List[Annotated[str, PlainValidator(_family)]] = (DEFAULT_FAMILY,)
    max_body: Size | None = None
    on_withdrawal: Annotated[OnWithdrawal | None, Strict(False)] = None

    @field_validator("trust")
    @classmethod
    def _trust_fits(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Ask for a bundle where certificates are looked at; elsewhere one would mislead its reader."""
        asked = info.data.get("client_certificate")
        if asked is ClientCertificate.NONE and value is not None:
            raise ValueError("trust has no meaning with client_certificate: none; remove one of them")
        if asked not in (None, ClientCertificate.NONE) and value is None:
            raise ValueError("trust is missing: name the bundle that clients' certificates must lead to")
        return value

    @field_validator("policy")
    @classmethod
    def _policy_fits(cls, value: tuple[Rule, ...], info: ValidationInfo) -> tuple[Rule, ...]:
        if info.data.get("client_certificate") is ClientCertificate.NONE:
            raise ValueError("policy has no meaning with client_certificate: none; remove one of them")
        return value

    @field_validator("identity_headers")
    @classmethod
    def _families_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each family of identity headers is named once")
        return value


class HostConfig(Part):
    """One virtual host: its names, its certificate and its routes. ``default`` takes missing and unknown SNI."""

    names: Some[HostName]
    default: bool = False
    certificate: CertificateConfig
    routes: Some[RouteConfig]


class AdminConfig(Part):
    """Where health and metrics are served; None is nowhere."""

    address: AdminAddress = ADMIN


class LogConfig(Part):
    """Which decisions are logged, and where to. ``target`` None is standard output."""

    target: LogTarget = None
    handshakes: Literal["off", "refused", "all"] = "all"
    requests: Literal["off", "errors", "all"] = "errors"


class FetchConfig(Part):
    """How CRLs and OCSP answers are fetched: ``anchors`` of https servers, instead of the well-known ones."""

    anchors: List[FilePath] = ()


class CacheConfig(Part):
    """Where CRLs are kept; None leaves it to the service manager, or to a folder that goes with the process."""

    directory: FilePath | None = None


class ReloadConfig(Part):
    """What makes the proxy read its files again, beside being told to.

    ``watch`` is on: a CRL that is replaced, or a certificate that is renewed, counts at once; a broken file changes
    nothing but the log.
    """

    watch: bool = True


class Config(Part):
    """The whole file."""

    listen: Some[ListenConfig]
    workers: WorkerCount = 1
    """Processes; None is as many as there are CPUs. One needs the least memory, counts limits exactly, and is enough
    for a sidecar; a gateway that is to use its machine says so."""

    trust: Table[TrustConfig] = Field(default_factory=Frozen)
    upstreams: Table[UpstreamConfig]
    hosts: Some[HostConfig]
    admin: AdminConfig = AdminConfig()
    log: LogConfig = LogConfig()
    cache: CacheConfig = CacheConfig()
    reload: ReloadConfig = ReloadConfig()
    fetch: FetchConfig = FetchConfig()
    limits: Limits = Limits()


def validate(values: Mapping[str, Any], base: Path) -> Config:
    """Make the configuration of plain values; relative paths start from ``base``. Raises pydantic's ValidationError."""
    return Config.model_validate(values, context={"base": base})
