"""The configuration of a bundle: its anchors, and how it learns who is revoked; the rest is in ``config``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, Strict, ValidationInfo, field_validator

from proxy.decide.peer.depth import Check
from proxy.decide.peer.hosts import Host, Hosts
from proxy.decide.peer.needs import Nonce
from proxy.decide.peer.ocsp.settings import REFRESH, TIMEOUT, Digest, Mode
from proxy.snapshot.fields import (
    CDP,
    CrlSource,
    Duration,
    FetchHost,
    FilePath,
    Grace,
    Instant,
    List,
    Responder,
    Size,
    Some,
)
from proxy.snapshot.files import MAX_CRL
from proxy.snapshot.limits import DAY
from proxy.snapshot.part import Part

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


class CrlConfig(Part):
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


class OcspConfig(Part):
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


class RevocationConfig(Part):
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


class AnchorConfig(Part):
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


class TrustConfig(Part):
    """One named bundle: where its anchors are, and what it asks of every chain to them."""

    anchors: Some[Annotated[AnchorConfig, BeforeValidator(_anchor)]]
    require_eku: bool = False
    revocation: RevocationConfig | None = None
