"""TLS over memory buffers: octets both ways, and a judge that is asked in the middle of a handshake."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from proxy.accept import tls
from proxy.accept.tls import BUFFER, LIBRARY_SSL, Judge, Session, TlsError, ffi, lib
from proxy.operate.demo.pki import Credential
from tests.support.memory import (
    CLIENT,
    LISTENER,
    LenientJudge,
    MemoryClient,
    SevereJudge,
    facts_of,
    shake,
)

VERSIONS = pytest.mark.parametrize("tls12", [True, False], ids=["1.2", "1.3"])


def refused(judge: Judge, client: MemoryClient) -> tuple[TlsError, str]:
    """Shake hands with somebody who is to be refused; return the error and the client's word for the alert."""
    session = Session(LISTENER)
    with pytest.raises(TlsError) as caught:
        shake(judge, client, session)
    with pytest.raises(SSL.Error) as told:
        client.hear(session.pending())
    return caught.value, str(told.value.args[0][0][-1])


class NamelessJudge(LenientJudge):
    """Knows no host."""

    def choose(self, sni: bytes | None) -> None:
        """Refuse."""
        self.names.append(sni)


class BrokenChooser(LenientJudge):
    """Fails where a host is looked up."""

    def choose(self, sni: bytes | None) -> tuple[SSL.Context, bool, bool] | None:
        """Fail."""
        raise KeyError(sni)


class BrokenJudge(LenientJudge):
    """Fails where what a client shows is judged."""

    def judge(self, digests: list[bytes], der: Callable[[int], bytes]) -> int:
        """Fail."""
        raise ZeroDivisionError(len(digests), len(der(0)))


@VERSIONS
@pytest.mark.parametrize(
    ("judge", "credential", "fault", "alert"),
    [
        (BrokenChooser, CLIENT, KeyError, "unrecognized name"),
        (BrokenJudge, CLIENT, ZeroDivisionError, "internal error"),
    ],
)
def test_a_judge_that_raises_has_refused(
    judge: type[LenientJudge], credential: Credential, fault: type[Exception], alert: str, tls12: bool
) -> None:
    """CVE-2026-27448 was an exception in a callback that let the connection through."""
    broken = judge()
    _, told = refused(broken, MemoryClient(credential, tls12=tls12))
    assert alert in told
    assert [type(seen) for seen in broken.faults] == [fault]


@VERSIONS
@pytest.mark.parametrize("sni", [b"nobody.example", None])
def test_no_host_is_unrecognized_name(sni: bytes | None, tls12: bool) -> None:
    """The judge hears the name as it was sent, or that there was none."""
    judge = NamelessJudge()
    _, told = refused(judge, MemoryClient(sni=sni, tls12=tls12))
    assert "unrecognized name" in told
    assert judge.names == [sni]


@VERSIONS
@pytest.mark.parametrize(
    ("error", "alert"),
    [
        (20, "unknown ca"),
        (10, "certificate expired"),
        (9, "bad certificate"),
        (23, "certificate revoked"),
        (26, "unsupported certificate"),
        (7, "decrypt error"),
        (28, "bad certificate"),
    ],
)
def test_the_judges_error_becomes_the_alert(error: int, alert: str, tls12: bool) -> None:
    """It is asked once, about what the client showed, and OpenSSL has no word of its own in it."""
    judge = SevereJudge(error)
    _, told = refused(judge, MemoryClient(tls12=tls12))
    assert alert in told
    assert judge.chains == [[facts_of(CLIENT).der]]


def test_nobody_is_judged_by_another_handshakes_verdict() -> None:
    """The verdict is forgotten with the call of OpenSSL that asked for it."""
    shake(LenientJudge(), MemoryClient())
    assert tls._verdict not in {None, 0}


@VERSIONS
@pytest.mark.parametrize(
    ("asks", "insists", "credential", "times"),
    [(True, True, CLIENT, 1), (True, False, CLIENT, 1), (True, False, None, 0), (False, False, CLIENT, 0)],
)
def test_a_certificate_is_judged_where_it_is_asked_for(
    asks: bool, insists: bool, credential: Credential | None, times: int, tls12: bool
) -> None:
    """Whoever is not asked shows none; whoever need not have one gets in without."""
    judge = LenientJudge(asks=asks, insists=insists)
    shake(judge, MemoryClient(credential, tls12=tls12))
    assert len(judge.chains) == times


def test_an_insisting_host_refuses_a_client_without() -> None:
    """OpenSSL says so itself."""
    error, told = refused(LenientJudge(), MemoryClient(None))
    assert (error.library, error.reason) == (LIBRARY_SSL, 199)
    assert "certificate required" in told


@VERSIONS
def test_an_established_session_says_what_was_agreed(tls12: bool) -> None:
    """Version, cipher suite and group are for the log; before the handshake there is none."""
    fresh = Session(LISTENER)
    assert (fresh.cipher, fresh.group) == (None, None)
    session = shake(LenientJudge(), MemoryClient(tls12=tls12))
    assert session.version == ("TLSv1.2" if tls12 else "TLSv1.3")
    assert "AES128-GCM" in str(session.cipher) or "AES_128_GCM" in str(session.cipher)
    assert session.group


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 60_000), max_size=6), cuts=st.integers(1, 50_000), tls12=st.booleans())
def test_octets_arrive_whole_and_in_order(sizes: list[int], cuts: int, tls12: bool) -> None:
    """Whatever the sizes of writes, and wherever the stream is cut on its way."""
    client = MemoryClient(tls12=tls12)
    session = shake(LenientJudge(), client)
    texts = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    stream = b"".join(client.say(text) for text in texts if text)
    heard = b"".join(session.read(stream[i : i + cuts]) for i in range(0, len(stream), cuts))
    session.rest_buffers()
    assert heard == b"".join(texts)
    assert client.hear(b"".join(session.write(text) for text in texts)) == b"".join(texts)


def test_more_than_the_shared_buffer_is_not_cut_off() -> None:
    """A write of twice the buffer comes out whole, and the session goes on with fresh buffers."""
    client = MemoryClient()
    session = shake(LenientJudge(), client)
    text = bytes(range(256)) * (2 * BUFFER // 256)
    assert client.hear(session.write(text)) == text
    session.rest_buffers()
    assert session.read(client.say(b"still here")) == b"still here"
    session.mark_bulky()
    session.rest_buffers()
    assert client.hear(session.write(b"and there")) == b"and there"


def test_a_close_notify_ends_the_stream_each_way() -> None:
    """The peer's shows in ``closed_by_peer``, ours is what ``close`` returns."""
    client = MemoryClient()
    session = shake(LenientJudge(), client)
    client.tls.shutdown()
    assert not session.closed_by_peer
    assert session.read(client.sent()) == b""
    assert session.closed_by_peer
    with pytest.raises(SSL.ZeroReturnError):
        client.hear(session.close())


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x00\x05hello", b"\x17\x03\x03\x00\x01x", b"GET / HTTP/1.1\r\n\r\n"])
def test_garbage_is_an_error_of_tls(garbage: bytes) -> None:
    """Instead of a ClientHello."""
    with pytest.raises(TlsError) as caught:
        Session(LISTENER).handshake(garbage, LenientJudge())
    assert caught.value.library == LIBRARY_SSL


def test_an_altered_record_is_an_error_and_no_text() -> None:
    """A flipped bit in the middle of the stream never becomes plain text."""
    client = MemoryClient()
    session = shake(LenientJudge(), client)
    record = bytearray(client.say(b"pay 10 to Alice"))
    record[-3] ^= 1
    with pytest.raises(TlsError, match="bad record mac"):
        session.read(bytes(record))


class UntidyJudge(LenientJudge):
    """Leaves an error behind in OpenSSL's queue, as a check that fails without consequences may."""

    def judge(self, digests: list[bytes], der: Callable[[int], bytes]) -> int:
        """Admit, after reading something that is no certificate."""
        nonsense = lib.BIO_new_mem_buf(ffi.from_buffer(b"nonsense"), 8)
        assert lib.d2i_X509_bio(nonsense, ffi.NULL) == ffi.NULL
        lib.BIO_free(nonsense)
        assert lib.ERR_peek_error() != 0
        return super().judge(digests, der)


def test_what_one_handshake_leaves_behind_is_no_other_connections_failure() -> None:
    """OpenSSL's errors are the thread's, and older releases took any that lay about for the current call's."""
    client = MemoryClient()
    session = shake(LenientJudge(), client)
    shake(UntidyJudge(), MemoryClient())
    assert session.read(client.say(b"x" * 10)[:5]) == b""


@VERSIONS
def test_more_than_the_buffer_may_have_come_before_it_is_read(tls12: bool) -> None:
    """An upload goes on coming while its verdict is pending."""
    client = MemoryClient(tls12=tls12)
    session = shake(LenientJudge(), client)
    text = bytes(range(256)) * (2 * BUFFER // 256 + 100)
    assert session.read(client.say(text)) == text
