"""Answers: a category, and not a word more."""

from __future__ import annotations

import pytest

from proxy.decide.request.answer import CLOSING, answer, status_of
from proxy.decide.verdict import Reason

STATUS = {
    Reason.BAD_REQUEST: 400,
    Reason.AMBIGUOUS_PATH: 400,
    Reason.NOT_TLS: 400,
    Reason.NO_ROUTE: 404,
    Reason.REQUEST_TIMEOUT: 408,
    Reason.BODY_TOO_LARGE: 413,
    Reason.HOST_MISMATCH: 421,
    Reason.HEAD_TOO_LARGE: 431,
    Reason.INTERNAL_ERROR: 500,
    Reason.UPSTREAM_UNAVAILABLE: 502,
    Reason.UPSTREAM_PROTOCOL: 502,
    Reason.UPSTREAM_BUSY: 503,
    Reason.UPSTREAM_TIMEOUT: 504,
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_status_that_tells_only_its_category(reason: Reason) -> None:
    """All that is about the client's certificate is one and the same 403."""
    assert status_of(reason) == STATUS.get(reason, 403)


@pytest.mark.parametrize("reason", Reason)
def test_an_answer_does_not_tell_the_reason(reason: Reason) -> None:
    """Answers to different reasons of one status are equal to the octet; none names the reason or the product."""
    text = answer(status_of(reason), close=False)
    assert reason.value.encode() not in text
    assert b"originward" not in text.lower()
    assert b"\r\nserver:" not in text.lower()
    assert text == answer(status_of(reason), close=False)


@pytest.mark.parametrize("status", sorted({status_of(reason) for reason in Reason}))
def test_an_answer_is_small_and_complete(status: int) -> None:
    """A status line, three or four fields, and a line of text whose length is told."""
    head, _, body = answer(status, close=True, request_id=b"id-1").partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    assert line == b"HTTP/1.1 " + body.rstrip(b"\n")
    assert fields == [
        b"Content-Type: text/plain", b"Content-Length: %d" % len(body), b"X-Request-Id: id-1", b"Connection: close",
    ]  # fmt: skip
    assert len(head + body) < 200


@pytest.mark.parametrize(
    ("close", "http11", "connection"),
    [(True, True, b"close"), (True, False, b"close"), (False, True, None), (False, False, b"keep-alive")],
)
def test_an_answer_says_whether_the_connection_stays(close: bool, http11: bool, connection: bytes | None) -> None:
    """HTTP/1.0 has to be told that it stays, HTTP/1.1 that it does not."""
    text = answer(404, close=close, http11=http11)
    assert (b"\r\nConnection: " in text) is (connection is not None)
    assert connection is None or b"\r\nConnection: %b\r\n" % connection in text


def test_an_answer_to_head_has_the_length_but_not_the_body() -> None:
    """RFC 9110, section 9.3.2."""
    full = answer(403, close=False)
    assert answer(403, close=False, body=False) == full[: full.index(b"\r\n\r\n") + 4]


def test_the_connection_stays_where_the_stream_can_be_trusted() -> None:
    """A refused client may go on asking; a broken stream is not read on."""
    assert {403, 404, 421, 502, 503, 504}.isdisjoint(CLOSING)
    assert {400, 408, 413, 431} <= CLOSING
