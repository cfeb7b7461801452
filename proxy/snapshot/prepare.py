"""Prepare: a configuration file and everything that it names, read and checked, to plain values.

All is read and checked before anything is made of it; any problem refuses the whole. It takes as long as it takes, so
a running proxy does it in another process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import crypto

from proxy.decide.facts import Certificate
from proxy.snapshot.cache_choice import Places, choose_cache
from proxy.snapshot.config import Config, HostConfig
from proxy.snapshot.credentials import distinct
from proxy.snapshot.document import MAX_FILE, Document, parse
from proxy.snapshot.fields import Frozen
from proxy.snapshot.files import FileError, read
from proxy.snapshot.inventory import take_inventory
from proxy.snapshot.loosenings import find_loosenings
from proxy.snapshot.material import Anchored, Credential, Material
from proxy.snapshot.prepared import Prepared, PreparedHost, pack
from proxy.snapshot.problems import ConfigError, KeyPath, Problem
from proxy.snapshot.references import check_references
from proxy.snapshot.stamps import Watched, named_by, stamp
from proxy.snapshot.tls import build_context
from proxy.snapshot.translate import read_config


def prepare(path: Path, now: float, places: Places | None = None) -> Prepared:
    """Read and check the configuration at ``path`` as of Unix time ``now``, with every file that it names.

    ``places`` are where its cache can be; None keeps nothing.
    Raises ConfigError with every problem found, and with what to watch for its repair.
    """
    watched = _watch(path, None)
    try:
        data = _read(path)
        document, config = _configuration(data, path)
        watched = _watch(path, config, watched.stamp)
        material = Material(document, now)
        material.note(path, data)
        return _prepare(document, config, material, places, watched)
    except ConfigError as fault:
        fault.watched = watched
        raise


def read_frame(path: Path) -> Config:
    """Read the configuration at ``path`` and none of the files that it names. Raises ConfigError."""
    return _configuration(_read(path), path)[1]


def _watch(path: Path, config: Config | None, before: bytes | None = None) -> Watched:
    """Stamp what is about to be read. A configuration that is not as it was ``before`` gets a stamp like no other."""
    named = named_by(path, config)
    changed = before is not None and stamp(named[:1]) != before
    return Watched(named, b"" if changed else stamp(named))


def _prepare(
    document: Document, config: Config, material: Material, places: Places | None, watched: Watched
) -> Prepared:
    material.cache = choose_cache(config, places, material)
    anchored = {name: material.bundle(name, trust) for name, trust in config.trust.items()}
    credentials = [material.credential(host, ("hosts", place)) for place, host in enumerate(config.hosts)]
    roots = _roots(config, material)
    if not material.problems:
        material.problems.extend(_refused_by_openssl(document, config.hosts, credentials, anchored))
    if material.problems:
        raise ConfigError(material.problems)
    warnings = [*find_loosenings(document, config), *material.warnings]
    bundles = [(found.bundle, found.anchors) for found in anchored.values() if found is not None]
    good = [credential for credential in credentials if credential is not None]
    return Prepared(
        frame=config.model_copy(update={"hosts": (), "trust": Frozen()}),
        hosts=tuple(pack(_host(*pair)) for pair in zip(config.hosts, good, strict=True)),
        bundles=tuple(pack(bundle) for bundle, _ in bundles),
        warnings=tuple(map(str, sorted(warnings, key=lambda warning: warning.line or 0))),
        files=tuple(map(str, material.files)),
        digest=_digest(material.files),
        inventory=take_inventory(config, bundles, [credential.chain for credential in good]),
        watched=watched,
        cache=material.cache,
        roots=roots,
    )


def _roots(config: Config, material: Material) -> str:
    """Read what https servers are held against, as PEM text."""
    found = (material.certificates(path, ("fetch", "anchors", at)) for at, path in enumerate(config.fetch.anchors))
    return "".join(cert.x509.public_bytes(Encoding.PEM).decode() for certs in found for cert in certs)


def _read(path: Path) -> bytes:
    try:
        return read(path, MAX_FILE).data
    except FileError as fault:
        raise ConfigError([Problem(path, None, "", fault.words)]) from fault


def _configuration(data: bytes, path: Path) -> tuple[Document, Config]:
    document = parse(data, path)
    config, problems = read_config(document)
    problems.extend(check_references(document))
    if config is None or problems:
        raise ConfigError(problems)
    return document, config


def _host(config: HostConfig, credential: Credential) -> PreparedHost:
    key = credential.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return PreparedHost(config, tuple(cert.der for cert in credential.chain), key)


def _refused_by_openssl(
    document: Document,
    hosts: Iterable[HostConfig],
    credentials: Iterable[Credential | None],
    anchored: Mapping[str, Anchored | None],
) -> Iterator[Problem]:
    """Build the TLS context of each host, which finds what OpenSSL has against its certificate or its anchors."""
    for place, (host, credential) in enumerate(zip(hosts, credentials, strict=True)):
        at: KeyPath = ("hosts", place, "certificate")
        try:
            if credential is not None:
                build_context(host.names[0], credential.chain, credential.key, _anchors_of(host, anchored))
        except (ValueError, crypto.Error) as fault:
            yield document.problem(at, str(fault) or "OpenSSL refuses the certificate or an anchor")


def _anchors_of(host: HostConfig, anchored: Mapping[str, Anchored | None]) -> tuple[Certificate, ...]:
    names = dict.fromkeys(route.trust for route in host.routes if route.trust is not None)
    found = (anchored[name] for name in names)
    return distinct(anchor for bundle in found if bundle is not None for anchor in bundle.anchors)


def _digest(files: Mapping[Path, bytes]) -> str:
    """Return a digest of files and their contents, whatever order they were read in."""
    whole = hashlib.sha256()
    for path, digest in sorted((str(path), digest) for path, digest in files.items()):
        whole.update(hashlib.sha256(path.encode(errors="surrogateescape")).digest() + digest)
    return whole.hexdigest()
