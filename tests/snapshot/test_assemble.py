"""Assembling: plain values become a snapshot, in steps, and what has not changed is the same object."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from proxy.decide.peer.answers import Answers
from proxy.snapshot.assemble import Assembler, at_once
from proxy.snapshot.crl_index import CrlIndexError
from proxy.snapshot.load import load
from proxy.snapshot.model import Snapshot
from proxy.snapshot.prepare import prepare
from proxy.snapshot.prepared import Prepared
from tests.support.certificates import NOW, Issued, make_ca
from tests.support.crls import make_crl
from tests.support.furnish import furnish, pem, write

TEXT = """\
listen: [{address: "127.0.0.1:0"}]
trust:
  cdn:
    anchors: [cdn.pem]
    revocation: {crl: {sources: [cdn.crl]}}
  partners: {anchors: [partners.pem]}
upstreams: {app: {servers: ["http://127.0.0.1:9000"]}}
hosts:
  - names: [a.example]
    certificate: {chain: tls/a.pem, key: tls/a.key}
    routes: [{path: /, trust: cdn, policy: {max_chain: 3}, upstream: app}]
  - names: [b.example]
    certificate: {chain: tls/b.pem, key: tls/b.key}
    routes: [{path: /, trust: partners, upstream: app}, {path: /x/, trust: cdn, policy: {max_chain: 3}, upstream: app}]
  - names: [c.example]
    certificate: {chain: tls/b.pem, key: tls/b.key}
    routes: [{path: /, trust: cdn, upstream: app}, {path: /x/, trust: partners, upstream: app}]
"""


@pytest.fixture
def ca(tmp_path: Path) -> Issued:
    """Make the CA of bundle ``cdn``, and a configuration with all that it names."""
    issuer = make_ca("CDN")
    config = write(tmp_path / "o.yaml", TEXT.encode())
    write(tmp_path / "cdn.crl", make_crl(issuer, number=1, this_update=NOW - 60))
    furnish(config)
    write(tmp_path / "cdn.pem", pem(issuer))
    return issuer


@pytest.fixture
def config(ca: Issued, tmp_path: Path) -> Path:
    """Return the configuration's file."""
    assert ca
    return tmp_path / "o.yaml"


def sent(prepared: Prepared) -> Prepared:
    """Send it to another process and back."""
    copy: Prepared = pickle.loads(pickle.dumps(prepared))  # noqa: S301 - just written
    return copy


def two(config: Path, assembler: Assembler, old: str = "", new: str = "") -> tuple[Snapshot, Snapshot]:
    """Assemble the configuration as it is, and with one text in the place of another."""
    first = at_once(assembler.assemble(sent(prepare(config, NOW)), 1))
    config.write_text(config.read_text().replace(old, new))
    return first, at_once(assembler.assemble(sent(prepare(config, NOW)), 2))


def test_what_was_sent_is_what_was_loaded(config: Path) -> None:
    """The way through another process changes nothing."""
    there = at_once(Assembler().assemble(sent(prepare(config, NOW)), 1))
    here = load(config, 1, NOW)
    assert there.config == here.config
    assert (there.files, there.warnings) == (here.files, here.warnings)
    assert [bundle.anchors[0].der for bundle in there.bundles.values()] == [
        bundle.anchors[0].der for bundle in here.bundles.values()
    ]


def test_the_same_again_is_the_same_objects(config: Path) -> None:
    """Only the generation differs, so nothing is parsed or built."""
    first, second = two(config, Assembler())
    assert (first.generation, second.generation) == (1, 2)
    assert second.hosts.hosts == first.hosts.hosts
    assert dict(second.contexts) == dict(first.contexts)
    assert dict(second.bundles) == dict(first.bundles)


def test_a_new_crl_makes_one_bundle_and_no_context_anew(config: Path, ca: Issued) -> None:
    """The judges get new gates for it; the TLS contexts know nothing of CRLs."""
    assembler = Assembler()
    first = at_once(assembler.assemble(prepare(config, NOW), 1))
    write(config.parent / "cdn.crl", make_crl(ca, number=2, this_update=NOW - 30))
    second = at_once(assembler.assemble(prepare(config, NOW), 2))
    assert second.bundles["partners"] is first.bundles["partners"]
    assert second.bundles["cdn"] is not first.bundles["cdn"]
    assert second.bundles["cdn"].anchors[0] is first.bundles["cdn"].anchors[0]
    assert set(map(id, second.contexts.values())) == set(map(id, first.contexts.values()))
    assert not set(second.hosts.hosts) & set(first.hosts.hosts)
    crl = second.bundles["cdn"].revocation
    assert crl is not None
    assert [known.number for known in crl.crls.crls] == [2]


def test_a_changed_host_leaves_its_neighbours_alone(config: Path) -> None:
    """A policy of one host is one host anew."""
    first, second = two(
        config, Assembler(), "routes: [{path: /, trust: partners", "routes: [{path: /p, trust: partners"
    )
    same = [new is old for new, old in zip(second.hosts.hosts, first.hosts.hosts, strict=True)]
    assert same == [True, False, True]


def test_hosts_with_the_same_certificate_and_anchors_share_a_context(config: Path) -> None:
    """A thousand names behind one wildcard certificate are one context; another anchor is another one."""
    a, b, c = load(config, 1, NOW).contexts.values()
    assert a is not b
    assert b is not c  # the same anchors in another order: the names in a request keep their order
    start, last = config.read_text().rsplit("routes:", 1)
    config.write_text(
        f"{start}routes: [{{path: /, trust: partners, upstream: app}}, {{path: /x/, trust: cdn, upstream: app}}]"
    )
    assert last
    _, b, c = load(config, 1, NOW).contexts.values()
    assert b is c


def test_answers_are_kept_from_one_generation_to_the_next(config: Path) -> None:
    """What a responder said is not asked again because a file was reloaded."""
    answers = Answers()
    for snapshot in two(config, Assembler(answers), "max_chain: 3", "max_chain: 2"):
        revocation = snapshot.bundles["cdn"].revocation
        assert revocation is not None
        assert revocation.answers is answers


def test_every_part_is_a_step_of_its_own(config: Path) -> None:
    """A loop that has other things to do gets its turn between any two of them."""
    steps = list(Assembler().assemble(prepare(config, NOW), 1))
    assert len(steps) >= 2 + 3 + 2 + 1  # bundles, hosts, anchors, a CRL


def test_an_index_that_has_gone_fails_and_leaves_the_last_generation(config: Path, tmp_path: Path) -> None:
    """Nothing was noted, so that the next attempt starts from what is in force."""
    assembler = Assembler()
    prepared = prepare(config, NOW)
    first = at_once(assembler.assemble(prepared, 1))
    bundle = next(prepared.unpack_bundles())
    assert bundle.revocation is not None
    gone = bundle.revocation.crls[0]
    lost = type(gone)(type(gone.ref)("0" * 64, tmp_path / "gone"), gone.source)
    revocation = type(bundle.revocation)(bundle.revocation.config, (lost,), ())
    broken = prepared.with_bundle(type(bundle)(bundle.name, bundle.config, bundle.anchors, revocation))
    with pytest.raises(CrlIndexError):
        at_once(assembler.assemble(broken, 2))
    assert at_once(assembler.assemble(prepared, 2)).hosts.hosts == first.hosts.hosts
