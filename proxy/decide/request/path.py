"""Paths: the one that is authorised is the one that the app sees (invariant: no second reading picks another route).

Apps differ in how they read a path. Some decode percent signs twice, some cut ``;parameters`` off each segment, some
merge slashes. A path on which they could differ about dot segments or slashes is refused. One that merely has several
spellings is judged under every reading, and refused where the readings lead to different routes.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.decide.text import quoted
from proxy.decide.verdict import Reason, Refused

_PLAIN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@/"
"""RFC 3986's path characters without the percent sign and the semicolon: what every app reads alike."""

_BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT: Final = re.compile(rb"(?:^|/)\.{1,2}(?:[/;?#]|$)")
# What readers of a path do to it, and what they put in its place.
_SLASHES: Final = re.compile(r"/{2,}"), "/"
_PARAMETERS: Final = re.compile(r";[^/]*"), ""
_END: Final = re.compile(r"[?#].*", re.DOTALL), ""
_AUTHORITY: Final = re.compile(r"\A/{2,}[^/]*"), ""

_CONTROL: Final = re.compile(rb"[\0-\x1f\x7f]")
"""NUL ends a name in C; URL parsers leave tabs and line ends out, so that two dots apart become a dot segment."""

_OVERLONG: Final = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]")
"""UTF-8 that is longer than it has to be: nothing writes it, and some decoders make slashes and dots of it."""


def readings(path: bytes) -> tuple[str, ...] | Refused:
    """Return every reading of a request's raw path (without its query), the plainest first, or the refusal.

    Nearly every path has exactly one.
    """
    if path.translate(None, _PLAIN) or b"//" in path or b"/." in path:
        return _all_readings(path)
    return (path.decode("ascii"),)


def _all_readings(path: bytes) -> tuple[str, ...] | Refused:
    if _BAD_PERCENT.search(path):
        return Refused(Reason.BAD_REQUEST, f"a percent sign without two hexadecimal digits in the path {quoted(path)}")
    once = unquote_to_bytes(path)
    twice = unquote_to_bytes(once)
    for view in (path, once, twice):
        fault = _ambiguity(view, path)
        if fault is not None:
            return Refused(Reason.AMBIGUOUS_PATH, f"{fault} in the path {quoted(path)}")
    views = _spellings(once) + (_spellings(twice) if twice != once else ())
    return tuple(dict.fromkeys(view if view.startswith("/") else "/" + view for view in views))


def _spellings(decoded: bytes) -> tuple[str, ...]:
    """Return a decoded path as it is, without ``;parameters``, and both with slashes merged.

    Where there is more to misread: also cut at a ``?`` or ``#`` that was encoded, and without a host, for which URL
    parsers take what follows two slashes.
    """
    plain = decoded.decode("utf-8", "surrogateescape")
    views = dict.fromkeys((plain,))
    for pattern, instead in (_END, _AUTHORITY, _PARAMETERS, _SLASHES, _END):
        views |= dict.fromkeys([pattern.sub(instead, view) for view in views])
    return tuple(views)


def _ambiguity(view: bytes, path: bytes) -> str | None:
    if b"\\" in view:
        return "a backslash"
    if _CONTROL.search(view):
        return "a control character"
    if view.count(b"/") != path.count(b"/"):
        return "an encoded slash"
    if _OVERLONG.search(view):
        return "an overlong character"
    if _DOT_SEGMENT.search(view):
        return "a dot segment"
    return None
