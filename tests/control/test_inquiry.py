"""Inquiry: each need goes to whoever meets its kind, and nobody is bothered for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.control.inquiry import Inquiry
from proxy.decide.peer.needs import CrlNeed, Need
from tests.support.certificates import make_ca, make_leaf
from tests.support.ocsp import need_for


def test_each_kind_has_its_own_source() -> None:
    """A question goes to the responders, a CRL to who fetches CRLs."""
    ca = make_ca()
    question = need_for(ca, make_leaf(ca))
    listed = CrlNeed("cdn", ("http://pki.example/ca.crl",), "00" * 32, 0)
    seen: list[tuple[str, Sequence[Need]]] = []
    inquiry = Inquiry(lambda needs: seen.append(("ocsp", needs)), lambda needs: seen.append(("crl", needs)))
    inquiry.ask([listed, question])
    inquiry.ask([question])
    inquiry.ask([])
    assert seen == [("ocsp", [question]), ("crl", [listed]), ("ocsp", [question])]
