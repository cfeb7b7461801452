"""Heads: what every server reads alike passes; all else is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.decide.request.head import MAX_REQUEST_ID, RequestHead, read_any, read_head, read_known
from proxy.decide.request.outgoing import render
from proxy.decide.verdict import Reason, Refused

FIELDS = 128

HOST = b"Host: a.example\r\n"


def read(raw: bytes) -> RequestHead:
    """Read a head that has to be good."""
    head = read_head(raw, FIELDS)
    assert isinstance(head, RequestHead), head
    return head


def forwarded(head: RequestHead, *, admitted: bool = True) -> list[bytes]:
    """Return the client's field lines as the app gets them, without those that the proxy writes itself."""
    lines = render(head, b"", b"192.0.2.1", b"id-1", admitted=admitted).split(b"\r\n")
    return lines[2 : next(place for place, line in enumerate(lines) if line.startswith(b"X-Forwarded-For: "))]


def with_fields(fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = HOST) -> bytes:
    """Write a head around ``fields``."""
    return line + b"\r\n" + host + fields + b"\r\n"


BAD_FIELDS = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "two lengths of nothing": b"Content-Length: 0\r\nContent-Length: 0\r\n",
    "two lengths that differ": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "two lengths in different spellings": b"Content-Length: 5\r\ncontent-length: 5\r\n",
    "a list of lengths": b"Content-Length: 5, 5\r\n",
    "length, then coding": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "coding, then length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "coding, fields, length": b"Transfer-Encoding: chunked\r\nX-A: b\r\nContent-Length: 0\r\n",
    "two codings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "coding twice in a list": b"Transfer-Encoding: chunked, chunked\r\n",
    "compressed and chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "chunked and compressed": b"Transfer-Encoding: chunked, gzip\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "unknown coding": b"Transfer-Encoding: xchunked\r\n",
    "quoted coding": b'Transfer-Encoding: "chunked"\r\n',
    "coding with a parameter": b"Transfer-Encoding: chunked;q=1\r\n",
    "coding behind a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "empty coding": b"Transfer-Encoding:\r\n",
    "empty length": b"Content-Length:\r\n",
    "length with a plus": b"Content-Length: +5\r\n",
    "negative length": b"Content-Length: -1\r\n",
    "length in hexadecimal": b"Content-Length: 0x5\r\n",
    "length with an underscore": b"Content-Length: 1_0\r\n",
    "length of two words": b"Content-Length: 1 0\r\n",
    "length beyond all bounds": b"Content-Length: 99999999999999999999\r\n",
    "length in other digits": b"Content-Length: \xd9\xa5\r\n",
    "folded line": b"X-A: b\r\n c\r\n",
    "line folded by a tab": b"X-A: b\r\n\tc\r\n",
    "folded coding": b"Transfer-Encoding:\r\n chunked\r\n",
    "blank before the colon": b"X-A : b\r\n",
    "tab before the colon": b"Content-Length\t: 5\r\n",
    "vertical tab in a name": b"Content-Length\x0b: 5\r\n",
    "blank in a name": b"X A: b\r\n",
    "blank before a name": b" X-A: b\r\n",
    "no name": b": b\r\n",
    "no colon": b"X-A\r\n",
    "quote in a name": b'X"A: b\r\n',
    "semicolon in a name": b"X;A: b\r\n",
    "NUL in a name": b"X\x00A: b\r\n",
    "non-ASCII name": b"X-\xc3\xa9: b\r\n",
    "NUL in a value": b"X-A: b\x00c\r\n",
    "control character in a value": b"X-A: b\x01c\r\n",
    "DEL in a value": b"X-A: b\x7fc\r\n",
    "bare CR in a value": b"X-A: b\rX-C: d\r\n",
    "bare LF in a value": b"X-A: b\nX-C: d\r\n",
    "two bare LF": b"X-A: b\n\nGET /x HTTP/1.1\r\n",
    "CR CR LF": b"X-A: b\r\r\n",
    "repeated Host": HOST,
    "repeated Host in another spelling": b"hOST: a.example\r\n",
    "unknown expectation": b"Expect: 200-ok\r\n",
    "expectation with more": b"Expect: 100-continue, x\r\n",
    "Connection that is no list": b"Connection: a b\r\n",
    "Connection with a quoted name": b'Connection: "close"\r\n',
}


@pytest.mark.parametrize("fields", BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_fields_that_servers_read_differently_are_refused(fields: bytes) -> None:
    """Request smuggling lives from two readings of one field."""
    verdict = read_head(with_fields(fields, b"POST / HTTP/1.1"), FIELDS)
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.BAD_REQUEST
    assert verdict.detail


BAD_LINES = {
    "two blanks before the target": b"GET  / HTTP/1.1",
    "two blanks before the version": b"GET /  HTTP/1.1",
    "blank at the end": b"GET / HTTP/1.1 ",
    "blank at the start": b" GET / HTTP/1.1",
    "tab for a blank": b"GET\t/ HTTP/1.1",
    "blank in the target": b"GET /a b HTTP/1.1",
    "no target": b"GET  HTTP/1.1",
    "no version": b"GET /",
    "HTTP/0.9": b"GET / HTTP/0.9",
    "HTTP/1.2": b"GET / HTTP/1.2",
    "HTTP/2.0": b"GET / HTTP/2.0",
    "HTTP/3.0": b"GET / HTTP/3.0",
    "version in lower case": b"GET / http/1.1",
    "version with a leading zero": b"GET / HTTP/01.1",
    "another protocol": b"GET / RTSP/1.0",
    "ICE": b"SOURCE / ICE/1.0",
    "HTTP/2's preface": b"PRI * HTTP/2.0",
    "method in lower case": b"get / HTTP/1.1",
    "unknown method": b"FROBNICATE / HTTP/1.1",
    "NUL behind the version": b"GET / HTTP/1.1\x00",
    "bare LF": b"GET / HTTP/1.1\nX-A: b",
    "LF before the line": b"\nGET / HTTP/1.1",
    "CR before the line": b"\rGET / HTTP/1.1",
    "LF LF before the line": b"\n\nGET / HTTP/1.1",
    "empty line before the line": b"\r\nGET / HTTP/1.1",
    "fragment": b"GET /a#b HTTP/1.1",
    "fragment in the query": b"GET /a?b#c HTTP/1.1",
    "raw non-ASCII path": b"GET /caf\xc3\xa9 HTTP/1.1",
    "raw non-ASCII query": b"GET /?\xc3\xa9 HTTP/1.1",
    "control character in the target": b"GET /\x01 HTTP/1.1",
    "DEL in the target": b"GET /\x7f HTTP/1.1",
    "asterisk": b"OPTIONS * HTTP/1.1",
    "CONNECT": b"CONNECT a.example:443 HTTP/1.1",
    "CONNECT with a path": b"CONNECT / HTTP/1.1",
    "CONNECT with a URL": b"CONNECT http://a.example/ HTTP/1.1",
    "another host in the URL": b"GET http://b.example/ HTTP/1.1",
    "another port in the URL": b"GET http://a.example:8443/ HTTP/1.1",
    "user in the URL": b"GET http://a.example@a.example/ HTTP/1.1",
    "no host in the URL": b"GET http:///a HTTP/1.1",
    "another scheme": b"GET ftp://a.example/ HTTP/1.1",
    "path without a slash": b"GET a/b HTTP/1.1",
    "bad percent encoding": b"GET /%zz HTTP/1.1",
    "cut percent encoding": b"GET /a%2 HTTP/1.1",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_request_lines_that_servers_read_differently_are_refused(line: bytes) -> None:
    """One blank, one method that exists, one path, one version that we speak."""
    verdict = read_head(with_fields(b"", line), FIELDS)
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_request_without_a_host_is_refused(version: bytes) -> None:
    """Of HTTP/1.0 too: without Host nothing can be held against the SNI."""
    verdict = read_head(b"GET / HTTP/%b\r\n\r\n" % version, FIELDS)
    assert verdict == Refused(Reason.BAD_REQUEST, "there is no Host field, or an empty one")


def read_fields(fields: bytes) -> RequestHead:
    """Read a good head of these fields."""
    head = read_head(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % fields, 100)
    assert isinstance(head, RequestHead)
    return head


def test_an_empty_host_is_refused() -> None:
    """RFC 9110 allows it for targets without an authority, which a proxy's clients never have."""
    assert isinstance(read_head(b"GET / HTTP/1.1\r\nHost:\r\n\r\n", FIELDS), Refused)
    assert isinstance(read_head(b"GET / HTTP/1.1\r\nHost:  \r\n\r\n", FIELDS), Refused)


def test_a_chunked_body_in_http_1_0_is_refused() -> None:
    """HTTP/1.0 knows no chunks: whoever is behind us may take them for the body."""
    assert isinstance(read_head(with_fields(b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.0"), FIELDS), Refused)


def test_the_number_of_fields_is_bounded() -> None:
    """As many as the limit pass, one more does not."""
    assert isinstance(read_head(with_fields(b"X-A: b\r\n" * (FIELDS - 1)), FIELDS), RequestHead)
    verdict = read_head(with_fields(b"X-A: b\r\n" * FIELDS), FIELDS)
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.HEAD_TOO_LARGE


@pytest.mark.parametrize(
    ("target", "origin_form"),
    [
        (b"/a?b=c", b"/a?b=c"),
        (b"http://a.example/x?y", b"/x?y"),
        (b"https://A.EXAMPLE/x", b"/x"),
        (b"http://a.example", b"/"),
        (b"http://a.example?y", b"/?y"),
        (b"//a", b"//a"),
        (b"/?a=../..%2f%00", b"/?a=../..%2f%00"),
    ],
)
def test_targets_are_brought_into_origin_form(target: bytes, origin_form: bytes) -> None:
    """An absolute form that agrees with Host is only another spelling; the query is the app's."""
    assert read(with_fields(b"", b"GET %b HTTP/1.1" % target)).target == origin_form


def test_a_url_with_a_dot_segment_is_ambiguous_like_a_path() -> None:
    """The absolute form is no way around the path check."""
    verdict = read_head(with_fields(b"", b"GET http://a.example/a/../b HTTP/1.1"), FIELDS)
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize(
    ("fields", "length", "chunked"),
    [
        (b"", 0, False),
        (b"Content-Length: 5\r\n", 5, False),
        (b"Content-Length: 5 \t\r\n", 5, False),
        (b"content-length: 0\r\n", 0, False),
        (b"Transfer-Encoding: chunked\r\n", 0, True),
        (b"TRANSFER-ENCODING: Chunked \r\n", 0, True),
        (b"X-Empty:\r\nContent-Length: 7\r\n", 7, False),
        (b"X-Empty:\r\nTransfer-Encoding: chunked\r\n", 0, True),
    ],
)
def test_the_framing_is_read(fields: bytes, length: int, chunked: bool) -> None:
    """Blanks around a value and the case of a name do not matter; an empty field hides none behind it."""
    head = read(with_fields(fields, b"POST / HTTP/1.1"))
    assert (head.length, head.chunked) == (length, chunked)


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: Close\r\n", False),
        (b"1.1", b"Connection: x, close\r\n", False),
        (b"1.1", b"Connection: close,,x\r\n", False),
        (b"1.1", b"Connection: ,\t , x ,\r\n", True),
        (b"1.1", b"Connection: ,\r\n", True),
        (b"1.1", b"Connection: x\r\nConnection: close\r\n", False),
        (b"1.1", b"Connection: keep-alive\r\n", True),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
        (b"1.0", b"Connection: keep-alive, close\r\n", False),
    ],
)
def test_keep_alive_follows_version_and_connection(version: bytes, connection: bytes, keep_alive: bool) -> None:
    """RFC 9112, section 9.3."""
    assert read(with_fields(connection, b"GET / HTTP/" + version)).keep_alive is keep_alive


HOP_BY_HOP = [
    b"Connection: keep-alive", b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive", b"TE: trailers",
    b"Trailer: X-T",
    b"Upgrade: websocket", b"HTTP2-Settings: AAMAAABkAAQAAP__", b"Proxy-Authorization: Basic Zm9v",
    b"Proxy-Authenticate: x",
]  # fmt: skip


@pytest.mark.parametrize("line", HOP_BY_HOP)
@pytest.mark.parametrize("change", [bytes, bytes.lower, bytes.upper])
def test_hop_by_hop_fields_are_dropped(line: bytes, change: type[bytes]) -> None:
    """RFC 9110, section 7.6.1."""
    name, _, value = line.partition(b":")
    head = read(with_fields(change(name) + b":" + value + b"\r\n"))
    assert forwarded(head) == []


def test_an_upgrade_is_an_ordinary_request() -> None:
    """Upgrade is dropped, so the app answers as if it had not been asked."""
    head = read(with_fields(b"Upgrade: websocket\r\nConnection: upgrade\r\nX-A: b\r\n"))
    assert forwarded(head) == [b"X-A: b"]
    assert head.keep_alive


def test_fields_that_connection_names_are_dropped() -> None:
    """In any spelling and from both sorts; what is not named stays."""
    head = read(
        with_fields(b"X-Drop: 1\r\nx-drop: 2\r\nX-Keep: 3\r\nForwarded: for=x\r\nConnection: x-DROP, forwarded\r\n")
    )
    assert forwarded(head) == [b"X-Keep: 3"]


def test_connection_cannot_name_what_the_proxy_itself_reads() -> None:
    """``Connection: host, content-length`` must not change the host or the framing."""
    head = read(with_fields(b"Content-Length: 5\r\nConnection: host, content-length\r\n", b"POST / HTTP/1.1"))
    assert (head.host, head.length) == (b"a.example", 5)
    assert b"\r\nContent-Length: 5\r\n" in render(head, b"", b"192.0.2.1", b"id", admitted=False)


LOOK_ALIKES = [
    b"Content_Length: 5", b"Transfer_Encoding: chunked", b"TRANSFER.ENCODING: chunked", b"X_Forwarded_For: 192.0.2.9",
    b"X-Forwarded_Host: x", b"x_forwarded_proto: http", b"X_Request_Id: x", b"Host_: x", b"http2_settings: x",
    b"Proxy_Connection: x", b"Proxy: http://evil.example/", b"pROXY: x",
]  # fmt: skip


@pytest.mark.parametrize("line", LOOK_ALIKES)
def test_look_alikes_of_own_fields_are_dropped(line: bytes) -> None:
    """CGI and WSGI read ``Content_Length`` and ``Content-Length`` as the same variable."""
    if line.startswith(b"Host_"):
        line = line.replace(b"Host_", b"HOST")
        assert isinstance(read_head(with_fields(line + b"\r\n"), FIELDS), Refused)
        return
    head = read(with_fields(line + b"\r\n"))
    assert forwarded(head) == []
    assert (head.length, head.chunked, head.forwarded_for, head.request_id or None) == (0, False, b"", None)


def test_forwarded_for_and_its_kin_are_joined() -> None:
    """Several fields are one list, in their order."""
    head = read(with_fields(b"X-Forwarded-For: 1\r\nVia: 1.1 x\r\nx-forwarded-for: 2, 3\r\nvia: 1.0 y\r\n"))
    assert (head.forwarded_for, head.via) == (b"1, 2, 3", b"1.1 x, 1.0 y")


@pytest.mark.parametrize(
    ("fields", "request_id"),
    [
        (b"", None),
        (b"X-Request-Id: 4bf92f35:77b/a.b+c=_@-1\r\n", b"4bf92f35:77b/a.b+c=_@-1"),
        (b"X-Request-Id: " + b"a" * MAX_REQUEST_ID + b"\r\n", b"a" * MAX_REQUEST_ID),
        (b"X-Request-Id: " + b"a" * (MAX_REQUEST_ID + 1) + b"\r\n", None),
        (b"X-Request-Id: a b\r\n", None),
        (b'X-Request-Id: a"b\r\n', None),
        (b"X-Request-Id:\r\n", None),
        (b"X-Request-Id: a\r\nX-Request-Id: a\r\n", None),
        (b"X-Request-Id: a\r\n" * 3, None),
        (b"X-Request-Id: a b\r\nX-Request-Id: a\r\n", None),
    ],
)
def test_a_request_id_is_taken_only_where_it_is_one(fields: bytes, request_id: bytes | None) -> None:
    """It is copied into log lines and headers; anything odd is replaced, not refused."""
    assert (read(with_fields(fields)).request_id or None) == request_id


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue", b"100-CONTINUE "])
def test_the_one_expectation_is_known(value: bytes) -> None:
    """In any case of letters."""
    assert read(with_fields(b"Expect: %b\r\nContent-Length: 1\r\n" % value, b"POST / HTTP/1.1")).expects


_PIECES = st.sampled_from(
    [
        b"GET ", b"POST ", b"/", b"a", b"%2e", b"?", b"#", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r", b" ",
        b"\t",
        b"Host: a", b"Content-Length: ", b"5", b"Transfer-Encoding: ", b"chunked", b"Connection: ", b"close", b",",
        b"upgrade",
        b"Upgrade: x", b"Expect: ", b"100-continue", b"X-A", b":", b";", b"\x00", b"\x7f", b"\xff", b"http://a/",
        b"CONNECT ",
    ],
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(_PIECES, max_size=40).map(b"".join)))
@example(b"")
@example(b"\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n")
def test_any_octets_are_a_head_or_a_refusal(raw: bytes) -> None:
    """Nothing that a client sends is an exception."""
    for data in (raw, with_fields(raw)):
        head = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"  # which is as far as a head is read
        assert isinstance(read_head(head, FIELDS), RequestHead | Refused)


_TOKEN = st.text("abcxyzABC019!#$%&'*+.^_`|~-", min_size=1, max_size=12).map(lambda name: b"q" + name.encode())
_VALUE = st.binary(max_size=20).map(lambda raw: bytes(o for o in raw if 0x20 <= o != 0x7F).strip())
_FIELD = st.tuples(_TOKEN, _VALUE)


@given(
    st.lists(_FIELD, max_size=20),
    st.sampled_from([b"", b"Content-Length: 0", b"Content-Length: 12", b"Transfer-Encoding: chunked"]),
)
def test_what_is_forwarded_reads_as_it_was_read(fields: list[tuple[bytes, bytes]], framing: bytes) -> None:
    """Written anew, a head has the same fields in the same order, and the same framing."""
    lines = [b"%b: %b" % field for field in fields] + [framing] * bool(framing)
    first = read(with_fields(b"".join(line + b"\r\n" for line in lines), b"POST /a?b HTTP/1.1"))
    written = render(first, b"", b"192.0.2.1", b"id-1", admitted=False)
    again = read(written)
    assert forwarded(again)[: len(fields)] == forwarded(first) == [b"%b: %b" % field for field in fields]
    assert (again.method, again.target, again.host) == (first.method, first.target, first.host)
    assert (again.length, again.chunked) == (first.length, first.chunked)
    assert [line.startswith(b"Content-Length") for line in lines].count(True) == written.count(b"\r\nContent-Length: ")
    assert (again.forwarded_for, again.request_id, again.via) == (b"192.0.2.1", b"id-1", b"1.1 originward")


def test_a_line_that_was_met_before_is_read_as_it_was_the_first_time() -> None:
    """Also beside lines that are new, and in the order in which they come."""
    first = read_fields(b"X-Color: green\r\nX-Size: 1\r\n")
    again = read_fields(b"X-Color: green\r\nX-Size: 2\r\nX-Color: green\r\n")
    assert first.lines == [b"X-Color: green", b"X-Size: 1"]
    assert again.lines == [b"X-Color: green", b"X-Size: 2", b"X-Color: green"]


def test_a_line_that_was_met_before_is_dropped_where_connection_names_it() -> None:
    """What is remembered of a line is only that it may be forwarded as it stands."""
    assert read_fields(b"X-Hop: 1\r\n").lines == [b"X-Hop: 1"]
    assert read_fields(b"X-Hop: 1\r\nConnection: x-hop\r\n").lines == []


_START_PIECES = st.sampled_from(
    [b"GET", b"POST", b"CONNECT", b"get", b" ", b"  ", b"/", b"/a", b"/.", b"//", b"?", b"?b", b"#", b"%41", b";x",
     b'"', b"<", b"\xe9", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/1.2"],
)  # fmt: skip
_START = st.one_of(
    st.sampled_from([b"GET / HTTP/1.1", b"POST /a/b?c=d HTTP/1.0", b"OPTIONS /a/ HTTP/1.1", b"DELETE /?? HTTP/1.1"]),
    st.lists(_START_PIECES, max_size=5).map(b"".join),
)
_NAMES = [
    b"Host", b"host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Via", b"X-Forwarded-For", b"X-A",
    b"X A", b"X-Request-Id", b"Expect", b"Upgrade", b"Client-Cert", b"X-Real-Ip", b"X_Forwarded_For", b"",
]  # fmt: skip
_VALUES = [
    b"a.example", b"5", b"00", b"+5", b"chunked", b"close", b"Keep-Alive, X-A", b"h2c, upgrade", b"100-continue", b"",
    b" a", b"a ", b"a  b", b"\ta", b"a\x00", b"a\x7f", b"caf\xe9", b"a\rb", b"a\nX-A: b", b"9" * 16,
]  # fmt: skip
_LINE = st.tuples(
    st.sampled_from(_NAMES), st.sampled_from([b": ", b": ", b":", b" : "]), st.sampled_from(_VALUES),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n"]),
).map(b"".join)  # fmt: skip


def _said(head: RequestHead | Refused) -> object:
    if isinstance(head, Refused):
        return head
    said = {name: getattr(head, name) for name in dir(head) if not name.startswith("_")}
    return {name: value for name, value in said.items() if not callable(value)}


@given(_START, st.lists(_LINE, max_size=6))
@example(b"GET / HTTP/1.1", [b"Host: a\r\n", b"X-A: b\rX-A: c\r\n"])
@example(b"GET / HTTP/1.1", [b"Host: a\r\n", b"X-A: b\n", b"X-A: c\r\n"])
@example(b"GET ?a HTTP/1.1", [b"Host: a\r\n"])
@example(b"POST / HTTP/1.1", [b"Host: a\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_head_of_known_lines_is_read_as_llhttp_reads_it(start: bytes, fields: list[bytes]) -> None:
    """The short way is no other way, the first time and from then on."""
    head = (b"%b\r\nHost: a.example\r\n%b" % (start, b"".join(fields))).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    for raw in (head, head.replace(b"Host: a.example\r\n", b"", 1)):
        expected = _said(read_any(raw, 6))
        assert _said(read_head(raw, 6)) == expected
        assert _said(read_head(raw, 6)) == expected


def test_two_heads_are_not_one_of_known_lines() -> None:
    """Whoever holds just one saves looking for its end; what holds two is to be parted first."""
    head = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
    read(head)
    assert read_known(head, FIELDS) is not None
    for raw in (b"", b"\r\n", head[:-2], head + b"G", head * 2, head[:-2] + head, head + b"\r\n", b"\r\n" + head):
        assert read_known(raw, FIELDS) is None
