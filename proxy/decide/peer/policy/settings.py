"""What the rules' settings and refusals have in common: lists of text in, one bounded line out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from proxy.decide.text import listed, printable
from proxy.decide.verdict import Reason, Refused

MAX_ENTRIES: Final = 1000
"""Of one rule's list: every entry may be compared with every name of a certificate, for each new certificate."""

_Entry = TypeVar("_Entry")


def entries(setting: object, parse: Callable[[str], _Entry], example: str) -> tuple[_Entry, ...]:
    """Parse each text of a list; an empty list is allowed, and admits nobody.

    Raises ValueError where ``setting`` is not a list of text, or where ``parse`` raises it.
    """
    if isinstance(setting, str):
        raise ValueError(f"{printable(setting)!r} is one text; write a list, such as {example}")  # noqa: TRY004 - a wrong setting, not a wrong call
    if not isinstance(setting, list | tuple):
        raise ValueError(f"{_shown(setting)} is not a list; write a list of text, such as {example}")  # noqa: TRY004
    if len(setting) > MAX_ENTRIES:
        raise ValueError(f"{len(setting)} entries are too many; at most {MAX_ENTRIES} are allowed")
    for entry in setting:
        if not isinstance(entry, str):
            raise ValueError(f"{_shown(entry)} in the list is not text; write it in quotes, as in {example}")  # noqa: TRY004
    return tuple(map(parse, setting))


def refuse(reason: Reason, has: str, allowed: Sequence[object]) -> Refused:
    """Refuse a leaf for what it ``has`` where only one of ``allowed`` would do."""
    wanted = f"the rule allows {listed(allowed)}" if allowed else "the rule's list is empty"
    return Refused(reason, printable(f"{has}; {wanted}"), 0)


def _shown(setting: object) -> str:
    return f"{printable(repr(setting), 64)} ({type(setting).__name__})"
