"""The demo's app tells what it saw."""

from __future__ import annotations

import json
from http.client import HTTPConnection

import pytest

from proxy.operate.demo.origin import Origin


def test_the_app_answers_with_method_path_and_fields_as_they_arrived() -> None:
    """The path is not decoded and repeated fields stay apart, else a forgery could hide."""
    with Origin() as origin:
        connection = HTTPConnection("127.0.0.1", origin.port, timeout=10)
        connection.putrequest("PUT", "/a%20b?c=%2F", skip_accept_encoding=True)
        connection.putheader("Client-Cert", ":one:")
        connection.putheader("client_cert", ":two:")
        connection.endheaders()
        seen = json.loads(connection.getresponse().read())
        connection.close()
    assert (seen["method"], seen["path"]) == ("PUT", "/a%20b?c=%2F")
    assert seen["headers"][1:] == [["Client-Cert", ":one:"], ["client_cert", ":two:"]]


def test_the_port_is_free_again_when_the_block_ends() -> None:
    """The demo leaves nothing running behind."""
    with Origin() as origin:
        port = origin.port
    with pytest.raises(ConnectionRefusedError):
        HTTPConnection("127.0.0.1", port, timeout=10).connect()
