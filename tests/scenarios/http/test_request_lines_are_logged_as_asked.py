"""``log.requests`` chooses which requests are logged; counters count them all."""

from __future__ import annotations

from pathlib import Path

from tests.support.gateway import Gateway, gateway, request, say

FIELDS = {
    "time", "level", "event", "conn", "peer", "request_id", "sni", "host", "method", "path", "route", "upstream",
    "status",
    "bytes_in", "bytes_out", "ms", "generation", "client", "client_subject",
}  # fmt: skip


def three(site: Gateway) -> list[str]:
    """Ask for a success, a failure of the app's and a refusal; return their request ids."""
    broken = site.app.on("/broken", say(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"))
    with site.admitted() as client:
        client.ask("/good", "X-Request-Id: good", method="POST", body=b"12345")
        client.ask(broken, "X-Request-Id: broken")
        refused = client.ask("/partners/x").header("x-request-id")
        client.ask("/last", "Connection: close")
    return ["good", "broken", str(refused)]


def logged(site: Gateway, ids: list[str]) -> list[str]:
    """Return those of the ids that are in the log, once everything is."""
    with site.admitted() as client:
        client.ask("/marker")
        last = "{}:{}".format(*client.tls.socket.getsockname())
    site.proxy.wait_for(lambda line: line.get("peer") == last)
    return [line["request_id"] for line in site.proxy.lines if line.get("request_id") in ids]


def test_errors_are_the_default(patient: Gateway) -> None:
    """Refusals and what the app failed at."""
    ids = three(patient)
    assert logged(patient, ids) == ids[1:]


def test_all_is_all(hasty: Gateway) -> None:
    """A line for each request, with all that is known of it."""
    ids = three(hasty)
    assert logged(hasty, ids) == ids
    line = hasty.line("good")
    assert set(line) == FIELDS
    assert (line["event"], line["level"], line["method"], line["path"]) == ("request", "info", "POST", "/good")
    assert (line["route"], line["upstream"], line["status"]) == ("/", "app", 200)
    assert line["bytes_in"] == 5
    assert line["bytes_out"] > 3
    assert line["client"].startswith("sha256:")


def test_what_is_no_request_has_no_octets_of_the_one_before(patient: Gateway) -> None:
    """Its line is about itself."""
    since = len(patient.proxy.lines)
    with patient.admitted() as client:
        client.send(request("/before-no-request", method="POST", body=b"12345") + b"no request\r\n\r\n")
        assert [client.answer().status, client.answer().status] == [200, 400]
    assert patient.refusal(since)["bytes_in"] == 0


def test_off_is_none(tmp_path: Path) -> None:
    """Not even refusals; the metrics have them."""
    with gateway(tmp_path, log={"requests": "off"}) as site:
        ids = three(site)
        assert logged(site, ids) == []
        metrics = site.proxy.metrics()
        refusals = [line for line in metrics.splitlines() if line.startswith("originward_requests_refused_total{")]
        assert [line.rsplit(" ", 1)[1] for line in refusals if "untrusted-issuer" in line] == ["1.0"]


def test_equal_refusals_are_folded(patient: Gateway) -> None:
    """A hundred of one client are one line at first; the others are counted in a second one."""
    since = patient.proxy.mark()
    with patient.admitted() as client:
        client.send(b"".join(request("/partners/fold") for _ in range(100)))
        for _ in range(100):
            assert client.answer().status == 403
    assert logged(patient, []) == []
    lines = [line for line in patient.proxy.lines[since:] if line.get("path") == "/partners/fold"]
    assert len(lines) == 1
