"""Patterns for names: what a ``*`` may stand for, and that nothing else stands for anything.

``*`` matches one or more ordinary characters within one label of a host name, one segment of a URI's path or the
local part of an address. It never matches another ``*`` (the name of a wildcard certificate names no client), nor
anything that some reader could take for a separator: dots in hosts, slashes, percent signs, blanks, NUL, non-ASCII.
Each piece has one wildcard at most and pieces do not overlap, so matching takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxy.decide.peer.policy.settings import refuse
from proxy.decide.text import listed, printable
from proxy.decide.verdict import Reason, Refused

MAX_NAME: Final = 2048
"""Characters of a pattern or a name (SPIFFE ID, section 2.3); a longer name matches nothing."""

MAX_NAMES: Final = 1000
"""Names of one kind in one certificate that are compared; more than any public CA puts into one."""

_LABEL: Final = "[a-z0-9_-]"
_LOCAL: Final = r"[A-Za-z0-9!#$%&'+/=?^_`{|}~.-]"
_SEGMENT: Final = r"[A-Za-z0-9._~!$&'()+,;=:@-]"
_NO_DOTS: Final = r"(?!\.{1,2}(?:/|\Z))"
_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#@]*)((?:/[^?#]*)?)")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as it was written, and the expression that a whole name must match."""

    text: str
    regex: re.Pattern[str]

    def matches(self, name: str) -> bool:
        """Whether the whole of ``name`` matches."""
        return len(name) <= MAX_NAME and name.isascii() and self.regex.fullmatch(name) is not None

    def __str__(self) -> str:
        return self.text


def judge_names(kind: str, names: Sequence[str], patterns: Sequence[Pattern]) -> Refused | None:
    """Refuse a leaf none of whose ``names`` matches one of ``patterns``."""
    if any(pattern.matches(name) for name in names[:MAX_NAMES] for pattern in patterns):
        return None
    has = f"{kind} {listed(names)}" if names else f"{kind} [] (the certificate has none)"
    return refuse(Reason.NAME_NOT_ALLOWED, has, patterns)


def dns_pattern(text: str) -> Pattern:
    """Compile a pattern for DNS names, such as ``*.cdn.example.com``; case does not matter."""
    _check_text(text)
    return Pattern(text, re.compile(f"(?i:{_host(text)})", re.ASCII))


def email_pattern(text: str) -> Pattern:
    """Compile a pattern for mail addresses, such as ``*@partner.example``; case matters before the ``@`` only."""
    _check_text(text)
    local, at, domain = text.partition("@")
    if not at or not local:
        raise ValueError(f"{text!r} is not a mail address; write *@{domain or text} for every mailbox of a domain")
    return Pattern(text, re.compile(f"{_piece(local, _LOCAL, text)}@(?i:{_host(domain)})", re.ASCII))


def uri_pattern(text: str) -> Pattern:
    """Compile a pattern for URIs, such as ``spiffe://corp/cdn/*``; case does not matter in scheme and host.

    ``**`` as a whole segment stands for any number of segments, also for none. A URI without wildcards may be
    of any form, and is compared as it is.
    """
    _check_text(text)
    match = _URI.fullmatch(text)
    if "*" not in text:
        return Pattern(text, re.compile(_literal_uri(text, match), re.ASCII))
    if match is None:
        raise ValueError(f"{text!r} is not scheme://host/path, the only form of URI that can have wildcards")
    scheme, authority, path = match.groups()
    host, colon, port = authority.partition(":")
    if "**" in path and path.split("/").count("**") != 1:
        raise ValueError(f"{text!r} can have ** once, as a whole segment between slashes")
    if not re.fullmatch("[0-9]*", port, re.ASCII):
        raise ValueError(f"{text!r} has a port that is not a number")
    origin = f"(?i:{re.escape(scheme)}://{_host(host)}){colon}{port}"
    segments = "".join(_segment(segment, text) for segment in path.split("/")[1:])
    return Pattern(text, re.compile(origin + segments, re.ASCII))


def _literal_uri(text: str, match: re.Match[str] | None) -> str:
    scheme, colon, _ = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        raise ValueError(f"{text!r} is not a URI; write it with its scheme, such as spiffe://corp/cdn/edge")
    head = len(scheme) if match is None else match.end(2)
    return f"(?i:{re.escape(text[:head])}){re.escape(text[head:])}"


def _segment(segment: str, text: str) -> str:
    if segment == "**":
        return f"(?:/{_NO_DOTS}{_SEGMENT}+)*"
    if segment in ("", ".", ".."):
        raise ValueError(f"{text!r} has an empty or a dot segment, which no wildcard may stand beside")
    return f"/{_NO_DOTS}{_piece(segment, _SEGMENT, text)}"


def _host(text: str) -> str:
    labels = text.lower().split(".")
    if not labels[-1].replace("*", ""):
        raise ValueError(f"{text!r} must end in a name, not in a dot or a wildcard: write it as in *.cdn.example.com")
    return r"\.".join(_piece(label, _LABEL, text) for label in labels)


def _piece(piece: str, allowed: str, text: str) -> str:
    """Compile a piece: ``allowed`` characters with one wildcard at most."""
    if "**" in piece:
        raise ValueError(f"{text!r}: ** is for whole segments of a URI's path only; * stands for a part of a name")
    if not piece or not re.fullmatch(f"(?:{allowed}|\\*)+", piece):
        raise ValueError(f"{text!r}: {piece!r} is empty or has characters that do not belong there")
    if piece.count("*") > 1:
        raise ValueError(f"{text!r}: {piece!r} has more than one wildcard")
    return re.escape(piece).replace(r"\*", f"{allowed}+")


def _check_text(text: str) -> None:
    if len(text) > MAX_NAME:
        raise ValueError(f"{printable(text, 64)!r} is longer than {MAX_NAME} characters")
    if not text or not all("!" <= character <= "~" for character in text):
        hint = "write it in ASCII without blanks (a domain name in its xn-- form)"
        raise ValueError(f"{printable(text, 128)!r} is empty or has characters that cannot match; {hint}")
