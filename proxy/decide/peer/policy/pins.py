"""Pins: SHA-256 digests as people copy them out of other tools."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from proxy.decide.text import printable

EXAMPLE: Final = '["sha256:<64 hexadecimal digits>"]'
_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}|(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{43}=")


@dataclass(frozen=True, slots=True)
class Pin:
    """A SHA-256 digest, in lower-case hexadecimal."""

    digest: str

    def __str__(self) -> str:
        return f"sha256:{self.digest}"


def parse_pin(text: str) -> Pin:
    """Parse ``sha256:`` and 64 hexadecimal digits (colons between octets allowed) or the base64 of 32 octets.

    ``sha256/`` is accepted too, as RFC 7469 and curl write it. Raises ValueError for everything else.
    """
    prefix, value = text[:7], text[7:]
    if prefix in ("sha256:", "sha256/"):
        if _HEX.fullmatch(value):
            return Pin(value.replace(":", "").lower())
        if _BASE64.fullmatch(value):
            return Pin(binascii.hexlify(base64.b64decode(value)).decode())
    hint = "write sha256: and 64 hexadecimal digits, or the base64 of the 32 octets"
    raise ValueError(f"{printable(text, 128)!r} is not a SHA-256 pin; {hint}")
