"""CRL overlay: which sources elsewhere a configuration names, and their CRLs laid over what was read from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from proxy.control.crl_source import Terms
from proxy.decide.peer.depth import Check
from proxy.decide.peer.needs import CrlNeed
from proxy.snapshot.config_trust import CrlConfig
from proxy.snapshot.crls import CrlFile
from proxy.snapshot.fields import CDP
from proxy.snapshot.prepared import Prepared, PreparedBundle, pack


def terms_of(prepared: Prepared) -> Iterator[Terms]:
    """Yield what each address that a bundle names is asked for."""
    for bundle in prepared.unpack_bundles():
        config = crl_config(bundle)
        if config is not None:
            issuers = (*bundle.anchors, *known_issuers(bundle))
            yield from (make_terms(bundle.name, (url,), issuers, config) for url in config.urls)


def make_terms(bundle: str, urls: tuple[str, ...], issuers: tuple[bytes, ...], config: CrlConfig) -> Terms:
    """Make the terms of a source of a bundle whose settings are ``config``."""
    return Terms(
        bundle=bundle,
        urls=urls,
        issuers=issuers,
        hosts=config.hosts,
        max_octets=config.max_size,
        seconds=config.timeout,
        refresh=config.refresh,
    )


def crl_config(bundle: PreparedBundle) -> CrlConfig | None:
    """Return how a bundle asks CRLs; None where it does not."""
    asked = bundle.config.revocation
    return None if asked is None or asked.check is Check.NONE else asked.crl


def known_issuers(bundle: PreparedBundle) -> tuple[bytes, ...]:
    """Return the certificates that are named as issuers of a bundle's CRLs, as DER."""
    return () if bundle.revocation is None else bundle.revocation.issuers


def named_terms(prepared: Prepared, need: CrlNeed) -> Terms | None:
    """Return what the addresses of a certificate are asked for; None where its bundle does not follow it there."""
    for bundle in prepared.unpack_bundles():
        config = crl_config(bundle)
        if bundle.name == need.bundle and config is not None and is_followed(config, need.urls):
            return make_terms(need.bundle, need.urls, (*need.issuers, *known_issuers(bundle)), config)
    return None


def is_followed(config: CrlConfig, urls: tuple[str, ...]) -> bool:
    """Tell whether a bundle follows its certificates to these addresses."""
    return CDP in config.sources and all(map(config.hosts.allows, urls))


def overlaid(prepared: Prepared, files_of: Callable[[str, CrlConfig], tuple[CrlFile, ...]]) -> Prepared:
    """Return ``prepared`` with each bundle's fetched CRLs as ``files_of`` has them; itself where they are the same."""
    bundles = []
    for packed, bundle in zip(prepared.bundles, prepared.unpack_bundles(), strict=True):
        config, revocation = crl_config(bundle), bundle.revocation
        files = () if config is None else tuple(dict.fromkeys(files_of(bundle.name, config)))
        if revocation is None or files == revocation.fetched:
            bundles.append(packed)
        else:
            bundles.append(pack(replace(bundle, revocation=replace(revocation, fetched=files))))
    return prepared if tuple(bundles) == prepared.bundles else replace(prepared, bundles=tuple(bundles))
