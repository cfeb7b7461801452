"""TLS contexts: what no handshake may loosen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from proxy.decide.facts import Certificate
from proxy.decide.request.route import Host
from proxy.operate.demo.pki import SERVER, Authority, Leaf, ec_key
from proxy.snapshot.tls import (
    ALPN_PROTOCOL,
    MAX_CA_NAMES,
    MODE_NO_AUTO_CHAIN,
    MODE_PARTIAL_WRITE,
    MODE_RELEASE_BUFFERS,
    build_context,
    listener_context,
    offers_http11,
)
from tests.support.certificates import make_ca
from tests.support.memory import CA, CONTEXT, anchor, facts_of

CONTEXTS = pytest.mark.parametrize("context", [CONTEXT, listener_context()], ids=["host", "listener"])


@CONTEXTS
@pytest.mark.parametrize("option", [SSL.OP_NO_RENEGOTIATION, SSL.OP_NO_COMPRESSION, SSL.OP_CIPHER_SERVER_PREFERENCE])
def test_every_context_has_the_strict_options(context: SSL.Context, option: int) -> None:
    """No renegotiation, no compression, and the server's order of ciphers."""
    assert context.set_options(0) & option


def test_no_session_is_resumable() -> None:
    """A host's context issues no tickets; the listener's leaves that to the server name callback."""
    assert CONTEXT.set_options(0) & SSL.OP_NO_TICKET
    assert not listener_context().set_options(0) & SSL.OP_NO_TICKET
    for context in (CONTEXT, listener_context()):
        assert context.get_session_cache_mode() == SSL.SESS_CACHE_OFF


@CONTEXTS
def test_memory_and_writes_are_as_the_data_path_wants_them(context: SSL.Context) -> None:
    """Buffers are given back, whole writes are made, and the own chain is not built again and again."""
    modes = context.set_mode(0)
    assert modes & MODE_NO_AUTO_CHAIN
    assert modes & MODE_RELEASE_BUFFERS
    assert not modes & MODE_PARTIAL_WRITE


@CONTEXTS
def test_only_ecdhe_with_aead_is_offered(context: SSL.Context) -> None:
    """AES-128 first, in both versions."""
    suites = SSL.Connection(context, None).get_cipher_list()
    aead = ("GCM", "CHACHA20")
    assert all(any(word in suite for word in aead) for suite in suites)
    assert all(suite.startswith(("TLS_", "ECDHE-")) for suite in suites)
    assert suites[0] == "TLS_AES_128_GCM_SHA256"
    assert next(suite for suite in suites if suite.startswith("ECDHE")).endswith("AES128-GCM-SHA256")


def test_the_anchors_names_are_what_clients_are_asked_for() -> None:
    """All anchors of all routes, by their subjects."""
    server = CA.issue(Leaf(subject="server", eku=SERVER))
    anchors = tuple(anchor(Authority.root(name)) for name in ("A", "B"))
    context = build_context("server.example", (facts_of(server),), server.key, anchors)
    assert [name.CN for name in SSL.Connection(context, None).get_client_ca_list()] == ["A", "B"]


def test_a_key_of_another_certificate_is_refused() -> None:
    """The message names the host."""
    server = CA.issue(Leaf(subject="server", eku=SERVER))
    with pytest.raises(ValueError, match=r"server\.example"):
        build_context("server.example", (facts_of(server),), ec_key(), ())


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=255), st.just(ALPN_PROTOCOL)), max_size=8))
def test_http11_is_found_where_it_is_a_whole_name(names: list[bytes]) -> None:
    """Wherever it stands in the list, and never as a part of another name."""
    assert offers_http11(b"".join(bytes([len(name)]) + name for name in names)) is (ALPN_PROTOCOL in names)


@given(st.binary(max_size=300))
def test_any_octets_are_an_answer(offered: bytes) -> None:
    """A list that is cut off or nonsense raises nothing; without the name in it, it does not offer it."""
    assert offers_http11(offered) in ({True, False} if ALPN_PROTOCOL in offered else {False})


@pytest.mark.parametrize(
    "offered", [b"", b"\x00", b"\x07http/1.", b"\x10xxxxxxxhttp/1.1x", b"\x08HTTP/1.1", b"\x00\x02h2"]
)
def test_near_misses_are_misses(offered: bytes) -> None:
    """Length and case count."""
    assert not offers_http11(offered)


def test_names_of_too_many_anchors_are_left_out() -> None:
    """A certificate request above the limit would fail the handshake, so it names no CA at all."""
    few = tuple(make_ca(f"CA {number}").certificate for number in range(3))
    many = tuple(make_ca(f"{number:060}").certificate for number in range(MAX_CA_NAMES // 60))
    assert len(_ca_names(few)) == len(_ca_names(few * 2)) == 3
    assert not _ca_names(many)


def _ca_names(anchors: tuple[Certificate, ...]) -> list[object]:
    host = Host(("origin.example.com",), ())
    server = CA.issue(Leaf(dns=("origin.example.com",), eku=SERVER))
    context = build_context(host.name, (facts_of(server),), server.key, anchors)
    return list(SSL.Connection(context, None).get_client_ca_list(as_cryptography=True))
