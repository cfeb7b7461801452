"""The table of rules: a new one is a file beside this one and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from proxy.decide.peer.policy.certificate_pins import CertificatePins
from proxy.decide.peer.policy.issuer import Issuer
from proxy.decide.peer.policy.key import Key
from proxy.decide.peer.policy.max_chain import MaxChain
from proxy.decide.peer.policy.max_lifetime import MaxLifetime
from proxy.decide.peer.policy.not_after_limit import NotAfterLimit
from proxy.decide.peer.policy.organizational_unit import OrganizationalUnit
from proxy.decide.peer.policy.rule import Rule
from proxy.decide.peer.policy.san_dns import SanDns
from proxy.decide.peer.policy.san_email import SanEmail
from proxy.decide.peer.policy.san_ip import SanIp
from proxy.decide.peer.policy.san_uri import SanUri
from proxy.decide.peer.policy.spki_pins import SpkiPins
from proxy.decide.peer.policy.subject import Subject

_TABLE: Final[tuple[type[Rule], ...]] = (
    SanDns,
    SanUri,
    SanEmail,
    SanIp,
    Subject,
    OrganizationalUnit,
    Issuer,
    SpkiPins,
    CertificatePins,
    MaxLifetime,
    MaxChain,
    NotAfterLimit,
    Key,
)

RULES: Final[Mapping[str, type[Rule]]] = MappingProxyType({rule.key: rule for rule in _TABLE})
"""Each rule under its name in the configuration."""
