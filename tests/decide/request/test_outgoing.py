"""The request as the app gets it: what the proxy vouches for is its own, and nothing forged arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.request.head import RequestHead, read_head
from proxy.decide.request.outgoing import render
from proxy.decide.request.stamp import ADMITTED, HEADERS, STRIPPED, fold

CLIENT = b"192.0.2.1"
IDENTITY = b"Client-Cert: :MIIgenuine:\r\n"


def head_of(fields: bytes, line: bytes = b"GET /a?b HTTP/1.1") -> RequestHead:
    """Read a good head with these fields."""
    head = read_head(line + b"\r\nHost: A.example:8443\r\n" + fields + b"\r\n", 128)
    assert isinstance(head, RequestHead), head
    return head


def forward(fields: bytes, line: bytes = b"GET /a?b HTTP/1.1", *, admitted: bool = True) -> list[bytes]:
    """Return the lines of the forwarded head."""
    head = render(head_of(fields, line), IDENTITY, CLIENT, b"id-1", admitted=admitted)
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


OWN = [
    b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: A.example:8443",
    b"X-Request-Id: id-1",
    b"Via: 1.1 originward",
]  # fmt: skip


@pytest.mark.parametrize("admitted", [True, False])
def test_a_plain_request_gets_the_proxys_own_fields(admitted: bool) -> None:
    """In one fixed order: line, Host, the client's fields, the identity, ours."""
    assert forward(b"Accept: */*\r\nX-A: b\r\n", admitted=admitted) == [
        b"GET /a?b HTTP/1.1", b"Host: A.example:8443", b"Accept: */*", b"X-A: b", b"Client-Cert: :MIIgenuine:", *OWN,
    ]  # fmt: skip


SPOKEN = (
    b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: www.example\r\nVia: 2.0 edge\r\n"
    b"Forwarded: for=198.51.100.7\r\nCloudFront-Viewer-Cert-Subject: CN=viewer\r\nX-Real-IP: 198.51.100.7\r\n"
)


def test_an_admitted_client_is_believed_about_others() -> None:
    """What it says is kept, and its own address comes last."""
    lines = forward(SPOKEN)
    for line in (
        b"X-Forwarded-For: 198.51.100.7, 192.0.2.1", b"X-Forwarded-Proto: http, https",
        b"Via: 2.0 edge, 1.1 originward",
        b"X-Forwarded-Host: www.example, A.example:8443", b"Forwarded: for=198.51.100.7", b"X-Real-IP: 198.51.100.7",
        b"CloudFront-Viewer-Cert-Subject: CN=viewer",
    ):  # fmt: skip
        assert line in lines


def test_anybody_else_is_not() -> None:
    """Only Via, which claims nothing, is appended to."""
    own = [line for line in OWN if not line.startswith(b"Via")]
    assert forward(SPOKEN, admitted=False)[2:] == [b"Client-Cert: :MIIgenuine:", *own, b"Via: 2.0 edge, 1.1 originward"]


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        (b"", []),
        (b"Content-Length: 0\r\n", [b"Content-Length: 0"]),
        (b"Content-Length: 007\r\n", [b"Content-Length: 7"]),
        (b"Transfer-Encoding: CHUNKED\r\n", [b"Transfer-Encoding: chunked"]),
        (b"Content-Length: 1\r\nExpect: 100-Continue\r\n", [b"Content-Length: 1", b"Expect: 100-continue"]),
    ],
)
def test_the_framing_is_written_anew(fields: bytes, framing: list[bytes]) -> None:
    """One form, whatever the client's spelling."""
    lines = forward(fields, b"POST / HTTP/1.1")
    assert sorted(lines[lines.index(b"Via: 1.1 originward") + 1 :]) == framing


@pytest.mark.parametrize("line", [b"GET / HTTP/1.0", b"GET http://a.example:8443/ HTTP/1.1"])
def test_the_app_gets_http_1_1_in_origin_form(line: bytes) -> None:
    """Whatever version and form the client used."""
    assert forward(b"", line)[0] == b"GET / HTTP/1.1"


_SIGNS = st.sampled_from([b"-", b"_", b".", b"~", b"!", b"^"])
_CLAIMS = st.sampled_from([*(header.name.encode() for header in HEADERS), *STRIPPED])
_TAILS = st.sampled_from([b"", b"-x", b"_X", b"s"])


@st.composite
def _forged(draw: st.DrawFn) -> bytes:
    """Spell a name that claims an identity: any case, any sign for the dash, with a tail."""
    name = draw(_CLAIMS) + draw(_TAILS)
    letters = (draw(_SIGNS) if octet == ord("-") else bytes([octet]) for octet in name)
    return b"".join(draw(st.sampled_from([letter.upper(), letter.lower()])) for letter in letters)


@given(st.lists(_forged(), min_size=1, max_size=8), st.booleans())
def test_no_spelling_of_a_forged_identity_arrives(names: list[bytes], admitted: bool) -> None:
    """Through reading and writing, repeated as one likes, from anybody: only the stamped line is there."""
    fields = b"".join(b"%b: forged\r\n" % name for name in names) + b"X-Keep: 1\r\n" + b"%b: again\r\n" % names[0]
    lines = forward(fields, admitted=admitted)
    assert lines == [b"GET /a?b HTTP/1.1", b"Host: A.example:8443", b"X-Keep: 1", b"Client-Cert: :MIIgenuine:", *OWN]


@given(st.sampled_from(ADMITTED), _TAILS, _SIGNS)
def test_claims_about_others_never_pass_from_strangers(prefix: bytes, tail: bytes, sign: bytes) -> None:
    """Neither in their own spelling nor in one that an app could take for it."""
    name = (prefix + tail).replace(b"-", sign)
    lines = forward(b"%b: forged\r\n" % name, admitted=False)
    assert lines == [b"GET /a?b HTTP/1.1", b"Host: A.example:8443", b"Client-Cert: :MIIgenuine:", *OWN]
    assert not any(fold(line.partition(b":")[0]) == fold(name) and b"forged" in line for line in lines)


@pytest.mark.parametrize(("before", "after"), [(b"", b"1.0 originward"), (b"1.1 edge", b"1.1 edge, 1.0 originward")])
def test_via_says_the_version_that_the_request_came_with(before: bytes, after: bytes) -> None:
    """Whatever is spoken with the app (RFC 9110, section 7.6.3)."""
    fields = b"Via: " + before + b"\r\n" if before else b""
    assert forward(fields, b"GET / HTTP/1.0")[-1] == b"Via: " + after
