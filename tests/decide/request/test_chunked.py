"""The chunked coding: any split reads alike, and anything else is an error."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.request.chunked import (
    LAST_CHUNK,
    MAX_SIZE_LINE,
    MAX_TRAILERS,
    ChunkedDecoder,
    ChunkedError,
    encode_chunk,
)


def decode(*pieces: bytes) -> tuple[bytes, bytes, bool]:
    """Feed pieces until the body is done; return payload, what came after it, and whether it is done."""
    decoder = ChunkedDecoder()
    payload, rest = b"", b""
    for piece in pieces:
        if decoder.done:
            rest += piece
        else:
            payload += decoder.feed(piece)
    return payload, decoder.rest + rest, decoder.done


def split(data: bytes, places: list[int]) -> list[bytes]:
    """Cut ``data`` at every place that lies within it."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


_CHUNK = st.tuples(
    st.binary(min_size=1, max_size=40), st.sampled_from([b"", b";a", b" ;a=b", b'; a="b c"', b"\t", b";\xff"])
)
_TRAILERS = st.lists(
    st.sampled_from([b"X-A: b\r\n", b"Client-Cert: :MII=:\r\n", b"a:\r\n", b"Digest: \xff\t\r\n"]), max_size=3
)


@given(st.lists(_CHUNK, max_size=6), _TRAILERS, st.binary(max_size=20), st.lists(st.integers(0, 10_000), max_size=12))
def test_a_body_reads_alike_however_it_is_split(
    chunks: list[tuple[bytes, bytes]], trailers: list[bytes], after: bytes, places: list[int]
) -> None:
    """Payload, end and what comes after it do not depend on how the octets arrive; trailers are gone."""
    coded = b"".join(b"%X%b\r\n%b\r\n" % (len(data), extension, data) for data, extension in chunks)
    stream = coded + b"0\r\n" + b"".join(trailers) + b"\r\n" + after
    assert decode(*split(stream, places)) == (b"".join(data for data, _ in chunks), after, True)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_what_is_encoded_decodes(payloads: list[bytes]) -> None:
    """Both directions of the relay use the same two functions."""
    stream = b"".join(map(encode_chunk, payloads)) + LAST_CHUNK
    assert decode(stream) == (b"".join(payloads), b"", True)


BAD = {
    "no size": b"\r\n",
    "only an extension": b";a\r\n",
    "not hexadecimal": b"g\r\n",
    "prefixed": b"0x5\r\n",
    "signed": b"+5\r\n",
    "negative": b"-1\r\n",
    "with an underscore": b"1_0\r\n",
    "led by a blank": b" 5\r\n",
    "two numbers": b"5 5\r\n",
    "sixteen digits": b"0000000000000005\r\n",
    "beyond 64 bits": b"fffffffffffffffff\r\n",
    "bare LF": b"5\nhello\r\n",
    "bare LF in an extension": b"5;a\nb\r\nhello\r\n",
    "bare CR in an extension": b"5;a\rb\r\nhello\r\n",
    "NUL in an extension": b"5;\x00\r\nhello\r\n",
    "data longer than its size": b"5\r\nhello!\r\n",
    "data that ends with LF": b"5\r\nhello\n0\r\n\r\n",
    "data that ends with CR CR LF": b"5\r\nhello\r\r\n",
    "folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer without a colon": b"0\r\nA\r\n\r\n",
    "trailer with a blank before the colon": b"0\r\nA : b\r\n\r\n",
    "trailer with NUL": b"0\r\nA: \x00\r\n\r\n",
    "bare LF after the last chunk": b"0\n\n",
    "bare LF after a trailer": b"0\r\nA: b\n\r\n",
    "endless size line": b"5;" + b"a" * MAX_SIZE_LINE,
    "too long a size line": b"5;" + b"a" * MAX_SIZE_LINE + b"\r\n",
    "endless trailer": b"0\r\nA: " + b"a" * MAX_TRAILERS,
    "too many trailers": b"0\r\n" + b"A: bcdef\r\n" * (MAX_TRAILERS // 8 + 1),
}


@pytest.mark.parametrize("stream", BAD.values(), ids=BAD.keys())
def test_what_is_not_strictly_chunked_is_an_error(stream: bytes) -> None:
    """Whole, and octet by octet."""
    with pytest.raises(ChunkedError):
        decode(stream)
    with pytest.raises(ChunkedError):
        decode(*(bytes([octet]) for octet in stream))


@pytest.mark.parametrize(
    "stream",
    [
        b"0;" + b"a" * (MAX_SIZE_LINE - 2) + b"\r\n\r\n",
        b"0\r\nA:" + b"a" * (MAX_TRAILERS - 2) + b"\r\n\r\n",
    ],
)
def test_lines_at_their_limit_pass_however_they_are_split(stream: bytes) -> None:
    """The limit counts the line, not how much of its end has arrived."""
    assert decode(stream) == (b"", b"", True)
    assert decode(*(bytes([octet]) for octet in stream)) == (b"", b"", True)


@given(
    st.lists(
        st.one_of(st.binary(max_size=20), st.sampled_from([b"5\r\n", b"0\r\n", b"\r\n", b"hello", b"A: b\r\n", b"\n"])),
        max_size=10,
    )
)
def test_any_octets_are_payload_or_an_error(pieces: list[bytes]) -> None:
    """Nothing else is raised, and no more comes out than went in."""
    try:
        payload, rest, _ = decode(*pieces)
    except ChunkedError:
        return
    assert len(payload) + len(rest) <= sum(map(len, pieces))
