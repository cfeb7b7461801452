"""san_ip: addresses that the certificate names, against networks."""

from __future__ import annotations

import pytest

from proxy.decide.peer.policy.san_ip import SanIp
from proxy.decide.verdict import Reason
from tests.support.certificates import NOW, identity_of, make_leaf


@pytest.mark.parametrize(
    ("network", "address", "admitted"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:DB8:0:0::1", "2001:db8::1", True),
        ("192.0.2.7", "::ffff:192.0.2.7", False),
        ("::ffff:192.0.2.7", "192.0.2.7", False),
        ("0.0.0.0/0", "::1", False),
    ],
)
def test_addresses(network: str, address: str, admitted: bool) -> None:
    """An address is in a network of its own version, or it is not."""
    refusal = SanIp.from_setting([network]).judge(identity_of(make_leaf(None, ips=[address])), NOW)
    assert (refusal is None) is admitted


@pytest.mark.parametrize(
    "text", ["", "192.0.2.1/24", "192.0.2", "192.0.2.*", "192.0.2.256", "a.example", "192.0.2.1-9"],
)
def test_what_is_no_network_is_an_error(text: str) -> None:
    """Also a network with host bits, which nobody means."""
    with pytest.raises(ValueError, match=r"is no address or network.*; write 192\.0\.2\.7, "):
        SanIp.from_setting([text])


def test_text_is_no_address() -> None:
    """A DNS name or a common name that looks like an address is none."""
    leaf = make_leaf(None, "192.0.2.7", dns=["192.0.2.7"], uris=["https://192.0.2.7"])
    refusal = SanIp.from_setting(["192.0.2.7"]).judge(identity_of(leaf), NOW)
    assert refusal is not None
    assert refusal.reason is Reason.NAME_NOT_ALLOWED
    assert refusal.detail == "IP addresses []; the rule allows [192.0.2.7/32]"


def test_it_says_what_it_asks() -> None:
    """In one line."""
    assert str(SanIp.from_setting(["192.0.2.0/24", "::1"])) == "an IP address in [192.0.2.0/24, ::1/128]"
