"""Text from certificates, made safe to show: it is written by whoever holds the certificate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MAX_DETAIL: Final = 512
"""Characters of a refusal's detail: one readable log line, however long the names in a certificate are."""

MAX_LISTED: Final = 200
"""Characters of one list inside a detail, so that what was found and what was allowed both have room."""

_CUT: Final = "..."


def printable(text: str, limit: int = MAX_DETAIL) -> str:
    """Return ``text`` as printable ASCII of at most ``limit`` characters, everything else backslash-escaped.

    What is too long ends in three dots.
    """
    # A slice first: escaping makes text longer, never shorter, and a certificate may hold a megabyte of it.
    safe = "".join(c if " " <= c <= "~" else ascii(c)[1:-1] for c in text[: limit + 1])
    return safe if len(safe) <= limit else safe[: limit - len(_CUT)] + _CUT


def quoted(octets: bytes, limit: int = MAX_LISTED) -> str:
    """Return the first ``limit`` octets of what a client sent, in quotes and printable ASCII."""
    return ascii(octets[:limit].decode("latin-1"))


def listed(values: Sequence[object], limit: int = MAX_LISTED) -> str:
    """Return ``[a, b, c]`` in printable ASCII of about ``limit`` characters; what is left out is counted."""
    shown: list[str] = []
    used = 0
    for value in values:
        text = printable(str(value), limit)
        used += len(text) + 2
        if shown and used > limit:
            shown.append(f"and {len(values) - len(shown)} more")
            break
        shown.append(text)
    return f"[{', '.join(shown)}]"
