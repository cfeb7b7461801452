"""Fields: what becomes of each is decided by its name, in any spelling."""

from __future__ import annotations

import pytest

from proxy.decide.request.fields import Field, sort_field

TABLE = {
    b"Accept": Field.FORWARD,
    b"hOST": Field.HOST,
    b"Content-Length": Field.CONTENT_LENGTH,
    b"Content_Length": Field.DROP,
    b"X_Forwarded_For": Field.DROP,
    b"X-Forwarded-For": Field.FORWARDED_FOR,
    b"Upgrade": Field.DROP,
    b"Proxy": Field.DROP,
    b"Client-Cert": Field.DROP,
    b"X-SSL-Client-Verify": Field.DROP,
    b"CloudFront-Viewer-Country": Field.FROM_ADMITTED,
    b"Forwarded": Field.FROM_ADMITTED,
}


@pytest.mark.parametrize(("name", "field"), TABLE.items(), ids=str)
def test_a_field_is_sorted_by_its_name(name: bytes, field: Field) -> None:
    """What only looks like a field of ours is dropped."""
    assert sort_field(name) is field
    assert sort_field(name.swapcase()) is field
