"""Values of identity headers: each in the format of the product that it comes from."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from proxy.decide.request import values
from tests.support.certificates import identity_of, make_ca, make_leaf, name

_ROOT = make_ca("Root", subject=name("Root", organization="CDN"))
_MIDDLE = make_ca("Middle", _ROOT)
_LEAF = make_leaf(
    _MIDDLE,
    subject=name("edge", organization="CDN, Inc.", units=["Edge"]),
    dns=["a.example", "b.example"],
    uris=["spiffe://corp/cdn/edge", "https://corp/?a=b;c,d"],
    serial=0x3A5B1,
    not_before=1_695_261_017,
    not_after=1_726_797_017,
)
_IDENTITY = identity_of(_LEAF, _MIDDLE, _ROOT)
_PEM = _LEAF.certificate.x509.public_bytes(Encoding.PEM).decode()


def _sequence(der: bytes) -> bytes:
    return b":" + base64.b64encode(der) + b":"


def test_client_cert_is_the_leafs_der() -> None:
    """RFC 9440, section 2.2: a byte sequence between colons."""
    assert values.client_cert(_IDENTITY) == _sequence(_LEAF.certificate.der)


def test_client_cert_chain_is_the_issuers_in_order() -> None:
    """RFC 9440, section 2.3: a list, the leaf not in it, each certificate issued by the next."""
    expected = b", ".join([_sequence(_MIDDLE.certificate.der), _sequence(_ROOT.certificate.der)])
    assert values.client_cert_chain(_IDENTITY) == expected
    assert values.client_cert_chain(identity_of(_LEAF)) == b""


def test_xfcc_is_one_element_as_envoy_writes_it() -> None:
    """Cert and Subject always in quotes, other values where they have a separator, a pair for each name."""
    text = values.xfcc(_IDENTITY).decode()
    digest, cert, *rest = text.split(";", 2)
    assert digest == f"Hash={hashlib.sha256(_LEAF.certificate.der).hexdigest()}"
    assert cert.startswith('Cert="-----BEGIN%20CERTIFICATE-----%0A')
    assert unquote(cert[6:-1]) == _PEM
    uris = 'URI=spiffe://corp/cdn/edge;URI="https://corp/?a=b;c,d"'
    assert rest == [rf'Subject="CN=edge,OU=Edge,O=CDN\, Inc.";{uris};DNS=a.example;DNS=b.example']


def test_xfcc_without_names_has_no_empty_pairs() -> None:
    """A key that is not there cannot be read as an empty name."""
    text = values.xfcc(identity_of(make_leaf(_ROOT), _ROOT)).decode()
    assert [pair.partition("=")[0] for pair in text.split(";")] == ["Hash", "Cert", "Subject"]


@pytest.mark.parametrize(("number", "shown"), [(0x3A5B1, b"03A5B1"), (0xABC, b"0ABC"), (1, b"01"), (0xFF, b"FF")])
def test_a_serial_number_is_whole_octets(number: int, shown: bytes) -> None:
    """In upper-case hexadecimal, as ALB and nginx write it."""
    assert values.serial(identity_of(make_leaf(None, serial=number))) == shown


def test_alb_writes_names_and_times_like_this() -> None:
    """As the examples in its documentation."""
    assert values.subject(_IDENTITY) == rb"CN=edge,OU=Edge,O=CDN\, Inc."
    assert values.issuer(_IDENTITY) == b"CN=Middle"
    assert values.validity(_IDENTITY) == b"NotBefore=2023-09-21T01:50:17Z;NotAfter=2024-09-20T01:50:17Z"


def test_pem_is_percent_encoded_in_two_ways() -> None:
    """ALB leaves three characters of base64 as they are, nginx none."""
    alb, nginx = values.alb_leaf(_IDENTITY).decode(), values.nginx_cert(_IDENTITY).decode()
    assert unquote(alb) == unquote(nginx) == _PEM
    assert alb.count("%") == _PEM.count("\n") + _PEM.count(" ")
    assert not set("+/= \n") & set(nginx)
    assert alb.endswith("-----END%20CERTIFICATE-----%0A")


def test_nginx_names_a_certificate_by_its_sha1() -> None:
    """As its variable does; apps look certificates up by it."""
    assert values.nginx_fingerprint(_IDENTITY).decode() == hashlib.sha1(_LEAF.certificate.der).hexdigest()  # noqa: S324
    assert values.nginx_verify(_IDENTITY) == b"SUCCESS"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain text", "plain text"),
        ("a,b+c;d<e>f", r"a\,b\+c\;d\<e\>f"),
        ('a"b', r"a\22b"),
        ("a\\b", r"a\5Cb"),
        (" a ", r"\20a\20"),
        (" ", r"\20"),
        ("#a", r"\23a"),
        ("a#", "a#"),
        ("a\r\nb", r"a\0D\0Ab"),
        ("a\0", r"a\00"),
        ("é", r"\C3\A9"),
        ("\x7f", r"\7F"),
    ],
)
def test_values_of_a_name_are_escaped(value: str, shown: str) -> None:
    """RFC 4514, section 2.4, and hexadecimal for all that is not plain."""
    assert values.distinguished_name(name(value)) == f"CN={shown}"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16))
def test_an_escaped_name_reads_as_it_was(value: str) -> None:
    """The escapes are those of the grammar: an RFC 4514 parser (which takes 64 octets) gets the value back."""
    parsed = x509.Name.from_rfc4514_string(values.distinguished_name(name(value)))
    assert [attribute.value for attribute in parsed] == [value]


def test_attributes_have_openssls_names() -> None:
    """Short names where there are some, numbers for the rest; sets of attributes are joined by a plus."""
    subject = x509.Name(
        [
            x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@b.example")]),
            x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.SERIAL_NUMBER, "7")]),
            x509.RelativeDistinguishedName([x509.NameAttribute(x509.ObjectIdentifier("1.2.3"), "x")]),
            x509.RelativeDistinguishedName(
                [x509.NameAttribute(NameOID.USER_ID, "u"), x509.NameAttribute(NameOID.COUNTRY_NAME, "DE")],
            ),
        ],
    )
    text = values.distinguished_name(subject)
    assert text.split(",")[1:] == ["1.2.3=x", "serialNumber=7", "emailAddress=a@b.example"]
    assert set(text.split(",", maxsplit=1)[0].split("+")) == {"UID=u", "C=DE"}
