"""The configuration: frozen, typed models of the YAML file. Unknown keys are errors.

Each field that has a default says why it is that one; ``docs/configuration.md`` is the same for readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    ValidationInfo,
    field_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from proxy.decide.peer.depth import Check
from proxy.decide.peer.hosts import Host, Hosts
from proxy.decide.peer.needs import Nonce
from proxy.decide.peer.ocsp.settings import REFRESH, TIMEOUT, Digest, Mode
from proxy.decide.peer.policy.rule import Rule
from proxy.decide.peer.policy.rules import RULES
from proxy.decide.request.route import ClientCertificate, OnWithdrawal
from proxy.decide.request.stamp import DEFAULT_FAMILY, FAMILIES
from proxy.snapshot.address import Address
from proxy.snapshot.fields import (
    CDP,
    AdminAddress,
    Count,
    CrlSource,
    Duration,
    FetchHost,
    FilePath,
    Frozen,
    Grace,
    HostName,
    Instant,
    List,
    ListenAddress,
    LogTarget,
    Name,
    Responder,
    RoutePath,
    ServerAddress,
    Size,
    Some,
    Table,
    WorkerCount,
)
from proxy.snapshot.files import MAX_CRL
from proxy.snapshot.limits import DAY, Limits

MAX_IDLE: Final = 256
"""Kept-alive connections to one server: a few times what 32 busy clients use, and cheap for the app to hold."""

IDLE_TIMEOUT: Final = 55.0
"""Seconds that an upstream connection is kept idle: just below the 60 s after which many app servers close it."""

MAX_CONNECTIONS: Final = 4096
"""Connections to one server at a time; beyond it, clients get 503 rather than the app a flood."""

CRL_REFRESH: Final = 300.0
"""Seconds: how long a revocation may take to arrive here, beside what the CA needs; a 304 costs next to nothing."""

CRL_TIMEOUT: Final = 30.0
"""Seconds for a whole CRL: 40 MB at 11 Mbit/s."""

MAX_CRL_TIMEOUT: Final = 600.0
"""Seconds: beyond it a time-out is none."""

MAX_FETCHED: Final = 64 << 20
"""Octets of a CRL: one and a half million entries."""

MAX_OCSP_TIMEOUT: Final = 30.0
"""Seconds that a responder may be given at most: no client waits longer for its first answer."""

ADMIN: Final = Address("127.0.0.1", 9901)
"""On loopback: the admin page has no authentication of its own."""


class _Model(BaseModel):
    """What all parts share: keyword-only, frozen, strict, and silent about values (they may hold secrets)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class ListenConfig(_Model):
    """One address to accept connections on."""

    address: ListenAddress


class CrlConfig(_Model):
    """A bundle's CRLs: where they are, who else signs them, and what happens without one that is up to date.

    A source is a file or folder, an address, or ``cdp``. ``allow_hosts`` are the hosts that certificates, CRLs and
    redirects may send us to; an address in ``sources`` may be asked without. ``when_stale`` is in seconds after
    nextUpdate: 0 is deny, infinity is allow.
    """

    sources: Some[CrlSource]
    allow_hosts: Annotated[List[FetchHost], Field(validate_default=True)] = ()
    refresh: Annotated[Duration, Field(ge=1, le=DAY)] = CRL_REFRESH
    timeout: Annotated[Duration, Field(gt=0, le=MAX_CRL_TIMEOUT)] = CRL_TIMEOUT
    max_size: Annotated[Size, Field(gt=0, le=MAX_CRL)] = MAX_FETCHED
    issuers: List[FilePath] = ()
    when_stale: Grace = 0.0
    when_missing: Literal["deny", "allow"] = "deny"

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses among the sources."""
        named = (source for source in self.sources if isinstance(source, str) and source != CDP)
        return tuple(dict.fromkeys(named))

    @property
    def hosts(self) -> Hosts:
        """Whom certificates, CRLs and redirects may send us to."""
        return Hosts(self.allow_hosts)

    @field_validator("allow_hosts")
    @classmethod
    def _hosts_fit(cls, value: tuple[Host, ...], info: ValidationInfo) -> tuple[Host, ...]:
        """Ask for a list where certificates say who is asked; where nothing is fetched one would mislead."""
        sources = info.data.get("sources", ())
        if CDP in sources and not value:
            raise ValueError("allow_hosts is missing: name the hosts that certificates may send us to for CRLs (cdp)")
        if value and sources and all(isinstance(source, Path) for source in sources):
            raise ValueError("allow_hosts has no meaning where all sources are files; remove it")
        return value


class OcspConfig(_Model):
    """How responders are asked, and what follows where they do not answer. Durations are seconds.

    ``responder`` None is the one that each certificate names, of a host of ``allow_hosts``; ``max_age`` None is until
    an answer's nextUpdate; ``check`` None is the bundle's.
    """

    mode: Annotated[Mode, Strict(False)] = Mode.HARD
    check: Annotated[Check | None, Strict(False)] = None
    responder: Responder = None
    allow_hosts: Annotated[List[FetchHost], Field(validate_default=True)] = ()
    timeout: Annotated[Duration, Field(gt=0, le=MAX_OCSP_TIMEOUT)] = TIMEOUT
    nonce: Annotated[Nonce, Strict(False)] = Nonce.ASK
    digest: Annotated[Digest, Strict(False)] = Digest.SHA1
    max_age: Annotated[Duration, Field(gt=0)] | None = None
    refresh: Annotated[Duration, Field(gt=0, le=DAY)] = REFRESH

    @field_validator("allow_hosts")
    @classmethod
    def _hosts_fit(cls, value: tuple[Host, ...], info: ValidationInfo) -> tuple[Host, ...]:
        """Ask for a list where certificates say who is asked; elsewhere one would mislead its reader."""
        if "responder" not in info.data or info.data.get("mode") is Mode.OFF:
            return value
        if info.data["responder"] is None and not value:
            raise ValueError("allow_hosts is missing: name the hosts of responders that certificates may send us to")
        if info.data["responder"] is not None and value:
            raise ValueError("allow_hosts has no meaning with a responder's address; remove one of them")
        return value


class RevocationConfig(_Model):
    """Which certificates of a chain are looked up, and where."""

    check: Annotated[Check, Strict(False)] = Check.CHAIN
    ocsp: OcspConfig | None = None
    crl: Annotated[CrlConfig | None, Field(validate_default=True)] = None

    @field_validator("crl")
    @classmethod
    def _something_to_check(cls, value: CrlConfig | None, info: ValidationInfo) -> CrlConfig | None:
        if "ocsp" not in info.data:
            return value
        ocsp = info.data["ocsp"]
        if value is None and info.data.get("check") is not Check.NONE and (ocsp is None or ocsp.mode is Mode.OFF):
            raise ValueError("crl is missing: name the sources of the CRLs, configure ocsp, or set check: none")
        return value


class AnchorConfig(_Model):
    """A file or folder of anchors, and when they count: Unix times in seconds, None is without that end."""

    file: FilePath
    not_before: Instant | None = None
    not_after: Instant | None = None

    @field_validator("not_after")
    @classmethod
    def _ends_after_it_begins(cls, value: float | None, info: ValidationInfo) -> float | None:
        begin = info.data.get("not_before")
        if value is not None and begin is not None and value <= begin:
            raise ValueError("not_after is not later than not_before: the anchor would never count")
        return value


def _anchor(value: object) -> object:
    """Let a path alone stand for anchors that always count."""
    if isinstance(value, str) and value:
        return {"file": value}
    if isinstance(value, dict | AnchorConfig):
        return value
    raise ValueError("expected the path of a file or folder, or file: with not_before: or not_after:")


class TrustConfig(_Model):
    """One named bundle: where its anchors are, and what it asks of every chain to them."""

    anchors: Some[Annotated[AnchorConfig, BeforeValidator(_anchor)]]
    require_eku: bool = False
    revocation: RevocationConfig | None = None


class UpstreamConfig(_Model):
    """An app: its servers, which take requests in turn, and the connections kept to each of them."""

    servers: Some[ServerAddress]
    max_idle: Count = MAX_IDLE
    idle_timeout: Annotated[Duration, Field(gt=0, le=DAY)] = IDLE_TIMEOUT
    max_connections: Annotated[Count, Field(ge=1)] = MAX_CONNECTIONS


class CertificateConfig(_Model):
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


class RouteConfig(_Model):
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


class HostConfig(_Model):
    """One virtual host: its names, its certificate and its routes. ``default`` takes missing and unknown SNI."""

    names: Some[HostName]
    default: bool = False
    certificate: CertificateConfig
    routes: Some[RouteConfig]


class AdminConfig(_Model):
    """Where health and metrics are served; None is nowhere."""

    address: AdminAddress = ADMIN


class LogConfig(_Model):
    """Which decisions are logged, and where to. ``target`` None is standard output."""

    target: LogTarget = None
    handshakes: Literal["off", "refused", "all"] = "all"
    requests: Literal["off", "errors", "all"] = "errors"


class FetchConfig(_Model):
    """How CRLs and OCSP answers are fetched: ``anchors`` of https servers, instead of the well-known ones."""

    anchors: List[FilePath] = ()


class CacheConfig(_Model):
    """Where CRLs are kept; None leaves it to the service manager, or to a folder that goes with the process."""

    directory: FilePath | None = None


class ReloadConfig(_Model):
    """What makes the proxy read its files again, beside being told to.

    ``watch`` is on: a CRL that is replaced, or a certificate that is renewed, counts at once; a broken file changes
    nothing but the log.
    """

    watch: bool = True


class Config(_Model):
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
