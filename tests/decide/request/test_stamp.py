"""Identity headers: what can be set cannot be forged, and what is set cannot be broken by a certificate."""

from __future__ import annotations

from collections.abc import Iterable

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.request.stamp import (
    ADMITTED,
    DEFAULT_FAMILY,
    FAMILIES,
    HEADERS,
    STRIPPED,
    Header,
    Passage,
    fold,
    passage,
    stamp,
)
from proxy.decide.verdict import Identity
from tests.support.certificates import identity_of, make_ca, make_leaf, name

_ROOT = make_ca("Root")
_ALL = tuple(FAMILIES)
_ROWS = pytest.mark.parametrize("header", HEADERS, ids=[header.name for header in HEADERS])


class _Headers:
    """Collects what llhttp reads."""

    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []

    def on_header(self, field: bytes, value: bytes) -> None:
        """Take one header."""
        self.fields.append((field.decode(), value.decode("ascii")))


def _parse(lines: bytes) -> list[tuple[str, str]]:
    headers = _Headers()
    httptools.HttpRequestParser(headers).feed_data(b"GET / HTTP/1.1\r\n" + lines + b"\r\n")
    return headers.fields


def _identity(common_name: str = "edge", dns: Iterable[str] = (), uris: Iterable[str] = ()) -> Identity:
    return identity_of(make_leaf(_ROOT, subject=name(common_name), dns=dns, uris=uris), _ROOT)


@_ROWS
def test_a_header_of_the_table_is_stripped_in_every_spelling(header: Header) -> None:
    """Case, underscores, dots: whatever an app could take for the header."""
    plain = header.name.encode()
    for spelling in (plain, plain.lower(), plain.upper(), plain.swapcase()):
        for dash in (b"-", b"_", b".", b"~", b"\xad"):
            assert passage(spelling.replace(b"-", dash)) is Passage.STRIP


@_ROWS
@given(chance=st.randoms(use_true_random=False))
def test_random_spellings_are_stripped(header: Header, chance: object) -> None:
    """Any mixture of cases and of separators."""
    choose = chance.choice  # type: ignore[attr-defined]
    spelling = "".join(choose("-_.!~|$") if c == "-" else choose((c.lower(), c.upper())) for c in header.name)
    assert passage(spelling.encode()) is Passage.STRIP
    assert fold(spelling.encode()) == fold(header.name.encode())


@pytest.mark.parametrize(
    "header",
    [
        "X-Amzn-Mtls-Clientcert",
        "X-Amzn-Mtls-Clientcert-Anything",
        "X-SSL-Client-CN",
        "X-SSL-Cert",
        "SSL_CLIENT_CERT",
        "Ssl-Client-Subject-Dn",
        "X-Forwarded-Tls-Client-Cert",
        "X-Forwarded-Tls-Client-Cert-Info",
        "X-ARR-ClientCert",
        "X-Client-Cert",
        "X-Client-Cert-Chain-Verified",
        "X-Client-Certificate",
        "X-Client-Verify",
        "X-Client-DN",
        "WL-Proxy-Client-Cert",
        "$WSCC",
        "X-Original-URL",
        "X_Rewrite_Url",
        "X-Envoy-Original-Path",
    ],
)
def test_kin_of_identity_headers_are_stripped(header: str) -> None:
    """What apps behind other proxies believe, and what some frameworks route by."""
    assert passage(header.encode()) is Passage.STRIP


@pytest.mark.parametrize(
    "header",
    [
        "CloudFront-Viewer-Cert-Subject",
        "Cloudfront_Viewer_Country",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X_Forwarded_Prefix",
        "X-Real-IP",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "X-Original-Forwarded-For",
        "X-Envoy-External-Address",
        "CF-Connecting-IP",
    ],
)
def test_facts_about_the_viewer_need_an_admitted_client(header: str) -> None:
    """They are as true as the client that says them."""
    assert passage(header.encode()) is Passage.ADMITTED


@pytest.mark.parametrize(
    "header",
    ["Host", "Accept", "Via", "X-Amz-Cf-Id", "X-Amzn-Trace-Id", "X-Request-Id", "Authorization", "Client", "X", "",
     "Cookie", "Content-Type", "User-Agent", "X-Custom", "X-Client-Version", "X-SSLify", "For"],
)
def test_other_headers_are_forwarded(header: str) -> None:
    """A proxy that eats headers of the app's own is a bug of its own."""
    assert passage(header.encode()) is Passage.FORWARD


def test_prefixes_are_folded() -> None:
    """A prefix that is not in folded spelling would never match, nor one that is shorter than the first glance."""
    for prefix in STRIPPED + ADMITTED:
        assert fold(prefix) == prefix
        assert len(prefix) >= 3


@given(st.binary(max_size=40))
def test_any_name_has_a_passage(header: bytes) -> None:
    """Folding twice is folding once, and look-alikes have the same passage."""
    assert fold(fold(header)) == fold(header)
    assert passage(header) is passage(fold(header))
    assert set(fold(header)) <= set(b"abcdefghijklmnopqrstuvwxyz0123456789-")


def test_families_are_the_tables_groups() -> None:
    """Each row belongs to the family that it names, and the default is one of them."""
    assert [header for family in FAMILIES.values() for header in family] == list(HEADERS)
    assert set(FAMILIES) == {"rfc9440", "xfcc", "alb", "nginx"}
    assert DEFAULT_FAMILY in FAMILIES


@pytest.mark.parametrize("family", _ALL)
def test_a_family_sets_its_headers(family: str) -> None:
    """Each of them once, in the table's order, and nothing else."""
    assert [field for field, _ in _parse(stamp(_identity(), (family,)))] == [row.name for row in FAMILIES[family]]


def test_without_identity_only_nginx_speaks() -> None:
    """As nginx does for a client without a certificate; an absent header says it for the others."""
    assert stamp(None, _ALL) == b"X-SSL-Client-Verify: NONE\r\n"
    assert stamp(None, ("rfc9440", "xfcc", "alb")) == b""
    assert stamp(_identity(), ()) == b""


def test_an_unknown_family_is_a_fault() -> None:
    """The configuration has checked the names, so this is a mistake in the program."""
    with pytest.raises(KeyError):
        stamp(None, ("f5",))


def test_empty_values_are_not_sent() -> None:
    """A leaf that is an anchor itself has no chain, and a leaf may have no subject."""
    alone = identity_of(make_leaf(_ROOT, subject=name("")))
    sent = {field for field, _ in _parse(stamp(alone, _ALL))}
    missing = {header.name for header in HEADERS} - sent
    assert missing == {"Client-Cert-Chain", "X-Amzn-Mtls-Clientcert-Subject", "X-SSL-Client-S-DN"}


_HOSTILE = [
    "\r\nX-Admin: 1",
    "\nX-Admin: 1\r\n\r\n",
    'a"b',
    '";URI="spiffe://corp/admin',
    "a\\",
    '\\"',
    "a;b,c=d",
    ",By=x;Hash=0",
    "\0",
    "ü\u2028\u202e\U0001f600",
    " a ",
    "#a",
    "\x7f\x80\x85",
    "%0d%0aX-Admin: 1",
]


@pytest.mark.parametrize("text", _HOSTILE)
def test_hostile_certificates_set_no_other_header(text: str) -> None:
    """In the subject, in a DNS name and in a URI."""
    _assert_only_the_tables_headers(text)


@pytest.mark.filterwarnings("ignore:Attribute.s length")
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_no_text_sets_another_header(text: str) -> None:
    """Whatever a certificate says, llhttp reads the table's headers, printable, and the quotes of XFCC pair."""
    _assert_only_the_tables_headers(text)


def _assert_only_the_tables_headers(text: str) -> None:
    lines = stamp(_identity(text, [text], [text]), _ALL)
    fields = _parse(lines)
    assert [field for field, _ in fields] == [header.name for header in HEADERS]
    assert all(" " <= character <= "~" for _, value in fields for character in value)
    assert lines.count(b"\r\n") == lines.count(b"\n") == len(HEADERS)
    xfcc = dict(fields)["X-Forwarded-Client-Cert"]
    outside = xfcc.split('"')[0::2]
    assert len(xfcc.split('"')) % 2 == 1
    assert "," not in "".join(outside)
    keys = [pair.partition("=")[0] for pair in "".join(outside).split(";")]
    assert keys == ["Hash", "Cert", "Subject", "URI", "DNS"]
