"""Request heads as a CDN sends them: ten fields, two of which differ from request to request."""

from __future__ import annotations

from typing import Final

_HEAD: Final = (
    "{method} {path} HTTP/1.1\r\n"
    "Host: {host}\r\n"
    "X-Amz-Cf-Id: %027x-Gkq2Vt8Ww0s7uYhJb3nQ5xZc1a==\r\n"
    "Connection: Keep-Alive\r\n"
    "User-Agent: Amazon CloudFront\r\n"
    "Via: 2.0 5f1f0d3c9ab24c0e8d6ae1c5fb4d7e90.cloudfront.net (CloudFront)\r\n"
    "X-Forwarded-For: 203.0.%d.%d\r\n"
    "Accept-Encoding: br,gzip\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "CloudFront-Forwarded-Proto: https\r\n"
    "CloudFront-Viewer-Country: DE\r\n"
    "{more}\r\n"
)


class Heads:
    """Makes heads. With ``varying``, no two of them are alike, so that a proxy gains nothing by remembering them."""

    def __init__(self, host: str, paths: list[str], *, varying: bool = True, body: int | None = None) -> None:
        more = "" if body is None else f"Content-Length: {body}\r\nContent-Type: application/octet-stream\r\n"
        method = "GET" if body is None else "PUT"
        self._templates = [_HEAD.format(method=method, path=path, host=host, more=more).encode() for path in paths]
        self._step = 1 if varying else 0
        self._number = 0

    def next(self) -> bytes:
        """Return the next request's head."""
        number = self._number = self._number + self._step
        template = self._templates[number % len(self._templates)]
        return template % (number, number >> 8 & 255, number & 255)
